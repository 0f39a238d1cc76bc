//! Faulty name servers: the next server is queried, and the deadline holds.

use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use bsv_p2p::discovery::{
    Deadline, DnsResolver, ResolveError, SeedResolver, ServerError, ServerFailure,
};

use crate::name_server::{ENOUGH, NameServer, SEED, SLACK, look_up, timed};
use crate::packets::{FORMERR, NO_ERROR, Question, REFUSED, Record, SERVFAIL, ips};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Forged addresses.
fn lies() -> Vec<IpAddr> {
    ips(&["192.0.2.66", "2001:db8::66"])
}

/// Returns the error of the only server in an error.
#[track_caller]
fn only_error(found: Result<Vec<IpAddr>, ResolveError>) -> ServerError {
    let servers = match found {
        Err(
            ResolveError::NoAnswer { name, servers } | ResolveError::TimedOut { name, servers, .. },
        ) => {
            assert_eq!(name, SEED);
            servers
        }
        other => panic!("{other:?}"),
    };
    let [ServerFailure { error, .. }] = &servers[..] else {
        panic!("{servers:?}");
    };
    error.clone()
}

#[test]
fn silent_server_fails_at_the_deadline() {
    let server = NameServer::silent();
    for milliseconds in [0, 120, 700] {
        let timeout = milliseconds * MILLISECOND;
        let (took, found) = timed(|| look_up(&[&server], timeout));
        assert!(took >= timeout && took < timeout + SLACK, "{took:?}");
        match found {
            Err(ResolveError::TimedOut {
                name,
                after,
                servers,
            }) => {
                assert_eq!((name.as_str(), after), (SEED, timeout));
                let silent = |one: &ServerFailure| {
                    one.address == server.address
                        && matches!(one.error, ServerError::NoReply { ignored: 0, .. })
                };
                assert!(servers.iter().all(silent), "{servers:?}");
                assert_eq!(servers.len(), usize::from(milliseconds > 0), "{timeout:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The share is at most two seconds.
#[test]
fn silent_server_is_skipped_after_its_share() {
    let silent = NameServer::silent();
    let good = NameServer::good(&ips(&["192.0.2.1"]));
    for (timeout, share) in [(1000, 500), (60_000, 2000)] {
        let (took, found) = timed(|| look_up(&[&silent, &good], timeout * MILLISECOND));
        assert_eq!(found, Ok(ips(&["192.0.2.1"])));
        let share = share * MILLISECOND;
        assert!(took >= share && took < share + SLACK, "{took:?}");
    }
}

#[test]
fn silent_server_is_queried_in_two_rounds() {
    let server = NameServer::silent();
    let (took, found) = timed(|| look_up(&[&server], ENOUGH));
    assert!(matches!(only_error(found), ServerError::NoReply { .. }));
    let rounds = Duration::from_secs(4);
    assert!(took >= rounds && took < rounds + SLACK, "{took:?}");
}

/// A late answer to the first packet counts.
#[test]
fn lost_packet_is_retried_with_same_id() {
    let mut seen = Vec::new();
    let server = NameServer::udp(move |question: &Question| {
        let is_again = seen.contains(&question.id());
        seen.push(question.id());
        if is_again {
            vec![question.found(&ips(&["192.0.2.1"]))]
        } else {
            Vec::new()
        }
    });
    let (took, found) = timed(|| look_up(&[&server], ENOUGH));
    assert_eq!(found, Ok(ips(&["192.0.2.1"])));
    let pause = 500 * MILLISECOND;
    assert!(took >= pause && took < pause + SLACK, "{took:?}");
}

#[test]
fn unrelated_packets_are_ignored() {
    let known = ips(&["192.0.2.1", "2001:db8::1"]);
    let lie = lies();
    let truth = known.clone();
    let server = NameServer::udp(move |question| {
        let found = question.found(&lie);
        let mut other_id = found.clone();
        other_id[1] ^= 1;
        let mut no_response = found.clone();
        no_response[2] &= 0x7f;
        let mut other_name = found.clone();
        other_name[13] = b'x';
        let mut other_class = found.clone();
        other_class[SEED.len() + 17] = 3;
        let mut no_question = found;
        no_question[5] = 0;
        vec![
            Vec::new(),
            b"nonsense".to_vec(),
            other_id,
            no_response,
            other_name,
            other_class,
            no_question,
            question.found(&truth),
        ]
    });
    assert_eq!(look_up(&[&server], ENOUGH), Ok(known));
}

#[test]
fn server_sending_only_unrelated_packets_is_silent() {
    let server = NameServer::udp(|question| {
        let mut other_id = question.found(&lies());
        other_id[0] ^= 0xff;
        vec![other_id]
    });
    let error = only_error(look_up(&[&server], 300 * MILLISECOND));
    assert!(
        matches!(error, ServerError::NoReply { ignored: 2, .. }),
        "{error:?}"
    );
}

#[test]
fn answer_from_other_address_or_port_is_ignored() {
    for ip in ["127.0.0.1", "127.0.0.2"] {
        let other = UdpSocket::bind((ip, 0)).unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let liar = thread::spawn(move || {
            let mut packet = [0; 512];
            for _ in 0..2 {
                let (length, client) = server.recv_from(&mut packet).unwrap();
                let lie = Question::parse(&packet[..length]).found(&lies());
                other.send_to(&lie, client).unwrap();
            }
            server
        });
        let resolver = DnsResolver::new(vec![address]);
        let found = resolver.resolve(SEED, &Deadline::after(300 * MILLISECOND));
        let error = only_error(found);
        assert!(
            matches!(error, ServerError::NoReply { ignored: 0, .. }),
            "{error:?}"
        );
        liar.join().expect("both lies were sent");
    }
}

#[test]
fn records_of_other_names_are_ignored() {
    let server = NameServer::udp(|question| {
        let lie = if question.kind == 1 {
            "192.0.2.66"
        } else {
            "2001:db8::66"
        };
        let record = Record::address("other.test", lie.parse().unwrap());
        vec![question.answer(NO_ERROR, &[record])]
    });
    let found = look_up(&[&server], ENOUGH);
    assert_eq!(found, Err(ResolveError::NotFound { name: SEED.into() }));
}

/// The answers are refusals, failures, malformed packets and alias loops.
#[test]
fn faulty_answer_leads_to_next_server_immediately() {
    let good = NameServer::good(&ips(&["192.0.2.1"]));
    let refuse = |code| move |question: &Question| vec![question.answer(code, &[])];
    let garbage = |question: &Question| {
        let mut packet = question.found(&lies());
        packet.pop();
        vec![packet]
    };
    let circle = |question: &Question| {
        let records = [Record::cname(SEED, "a.test"), Record::cname("a.test", SEED)];
        vec![question.answer(NO_ERROR, &records)]
    };
    for (server, error) in [
        (
            NameServer::udp(refuse(REFUSED)),
            ServerError::Refused { code: 5 },
        ),
        (
            NameServer::udp(refuse(SERVFAIL)),
            ServerError::Refused { code: 2 },
        ),
        (NameServer::udp(garbage), ServerError::Malformed),
        (NameServer::udp(circle), ServerError::CnameLoop),
    ] {
        let (took, found) = timed(|| look_up(&[&server, &good], ENOUGH));
        assert_eq!(found, Ok(ips(&["192.0.2.1"])), "{error}");
        assert!(took < SLACK, "{error}: {took:?}");
        assert_eq!(server.questions(), 2, "{error}");
        assert_eq!(only_error(look_up(&[&server], ENOUGH)), error);
    }
}

#[test]
fn closed_port_leads_to_next_server_immediately() {
    let nobody = {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let good = NameServer::good(&ips(&["192.0.2.1"]));
    let until = Deadline::after(ENOUGH);
    let resolver = DnsResolver::new(vec![nobody, good.address]);
    let (took, found) = timed(|| resolver.resolve(SEED, &until));
    assert_eq!(found, Ok(ips(&["192.0.2.1"])));
    assert!(took < SLACK, "{took:?}");
    let error = only_error(DnsResolver::new(vec![nobody]).resolve(SEED, &until));
    let ServerError::Io {
        error: system,
        over_tcp: false,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(system.kind, ErrorKind::ConnectionRefused);
    assert!(system.to_string().contains("os error"), "{system}");
}

#[test]
fn server_without_edns_is_queried_without_it() {
    let server = NameServer::udp(|question| {
        vec![match question.udp_payload() {
            Some(_) => question.answer(FORMERR, &[]),
            None => question.found(&ips(&["192.0.2.1"])),
        }]
    });
    let (took, found) = timed(|| look_up(&[&server], ENOUGH));
    assert_eq!(found, Ok(ips(&["192.0.2.1"])));
    assert!(took < SLACK, "{took:?}");
}

#[test]
fn packet_flood_does_not_move_the_deadline() {
    let server = NameServer::udp(|question| {
        let mut foreign = question.found(&[]);
        foreign[0] ^= 1;
        vec![foreign; 20_000]
    });
    let timeout = 300 * MILLISECOND;
    let (took, found) = timed(|| look_up(&[&server], timeout));
    assert!(took >= timeout && took < timeout + SLACK, "{took:?}");
    assert!(matches!(
        only_error(found),
        ServerError::NoReply { ignored: 1.., .. }
    ));
}

#[test]
fn lookup_without_servers_fails() {
    let error = look_up(&[], ENOUGH).unwrap_err();
    let name = SEED.to_owned();
    assert_eq!(
        error,
        ResolveError::NoAnswer {
            name,
            servers: Vec::new()
        }
    );
}
