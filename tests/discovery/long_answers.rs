//! Answers that exceed a packet are requested over TCP.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use bsv_p2p::discovery::{ResolveError, ServerError, ServerFailure};

use crate::name_server::{Client, ENOUGH, NameServer, SLACK, look_up, timed};
use crate::packets::{NO_ERROR, Question, ips};

fn v4(count: u32) -> Vec<IpAddr> {
    (0..count)
        .map(|number| IpAddr::from((0xc612_0000 + number).to_be_bytes()))
        .collect()
}

#[test]
fn truncated_answer_is_retried_over_tcp() {
    let known = v4(60);
    let addresses = known.clone();
    let server = NameServer::tcp(move |question, client| {
        client.send_packet(&question.found(&addresses));
    });
    assert_eq!(look_up(&[&server], ENOUGH), Ok(known));
    assert_eq!(server.questions(), 4, "two over UDP and two over TCP");
}

/// Bytes after the answer are not read.
#[test]
fn tcp_answer_may_arrive_in_pieces() {
    let known = v4(60);
    let addresses = known.clone();
    let server = NameServer::tcp(move |question, client| {
        let packet = question.found(&addresses);
        let length = (packet.len() as u16).to_be_bytes();
        client.send(&length[..1]);
        client.send(&length[1..]);
        for piece in packet.chunks(7) {
            client.send(piece);
        }
        client.send(b"more");
        client.wait_for_its_end();
    });
    assert_eq!(look_up(&[&server], ENOUGH), Ok(known));
}

#[test]
fn long_answers_are_cut_to_address_limit() {
    let longest = (u16::MAX as usize - 12 - 15) / (11 + 14);
    let v4 = v4(longest as u32);
    let v6: Vec<IpAddr> = (0..1500u16)
        .map(|number| [0x2001, 0xdb8, 0, 0, 0, 0, 0, number].into())
        .collect();
    let all: Vec<IpAddr> = v4.iter().chain(&v6).copied().collect();
    let server = NameServer::tcp(move |question, client| {
        let packet = question.found(&all);
        assert!(packet.len() > 50_000 && packet.len() <= 65_535);
        client.send_packet(&packet);
    });
    let kept = look_up(&[&server], ENOUGH).unwrap();
    let wanted: Vec<IpAddr> = v4[..128].iter().chain(&v6[..128]).copied().collect();
    assert_eq!(kept, wanted);
}

/// Returns the error of the only server.
fn error_of(found: Result<Vec<IpAddr>, ResolveError>) -> ServerError {
    match found {
        Err(
            ResolveError::NoAnswer { mut servers, .. } | ResolveError::TimedOut { mut servers, .. },
        ) => {
            let ServerFailure { error, .. } = servers.pop().expect("a server that failed");
            error
        }
        other => panic!("{other:?}"),
    }
}

type Serve = fn(&Question, &mut Client);

#[test]
fn invalid_tcp_answer_leads_to_next_server() {
    let good = NameServer::good(&ips(&["192.0.2.1"]));
    let cut = ServerError::Io {
        error: ErrorKind::UnexpectedEof.into(),
        over_tcp: true,
    };
    let cases: [(Serve, ServerError); 6] = [
        (|_, _| {}, cut.clone()),
        (|_, client| client.send(&[0]), cut.clone()),
        (
            |question, client| {
                let packet = question.found(&v4(60));
                client.send(&[0xff, 0xff]);
                client.send(&packet);
            },
            cut,
        ),
        (
            |question, client| {
                let packet = question.found(&v4(60));
                client.send(&[0, 100]);
                client.send(&packet);
            },
            ServerError::Malformed,
        ),
        (|_, client| client.send(&[0, 0]), ServerError::Malformed),
        (
            |question, client| client.send_packet(&question.truncated()),
            ServerError::Malformed,
        ),
    ];
    for (number, (serve, expected)) in cases.into_iter().enumerate() {
        let server = NameServer::tcp(serve);
        let (took, found) = timed(|| look_up(&[&server, &good], ENOUGH));
        assert_eq!(found, Ok(ips(&["192.0.2.1"])), "case {number}");
        assert!(took < SLACK, "case {number}: {took:?}");
        let got = error_of(look_up(&[&server], ENOUGH));
        // A connection that is closed with bytes unread may end with a reset.
        let is_reset = matches!(&got, ServerError::Io { error, over_tcp: true }
            if error.kind == ErrorKind::ConnectionReset);
        assert!(
            got == expected || (is_reset && expected != ServerError::Malformed),
            "case {number}: {got:?}"
        );
    }
}

#[test]
fn stalled_tcp_answer_fails_at_the_deadline() {
    let cases: [Serve; 3] = [
        |_, client| client.wait_for_its_end(),
        |_, client| {
            client.send(&[0xff, 0xff]);
            client.wait_for_its_end();
        },
        |question, client| {
            client.send(&[0xff, 0xff]);
            client.send(&question.answer(NO_ERROR, &[])[..20]);
            client.trickle(0);
        },
    ];
    let good = NameServer::good(&ips(&["192.0.2.1"]));
    for (number, serve) in cases.into_iter().enumerate() {
        let server = NameServer::tcp(serve);
        let timeout = Duration::from_millis(300);
        let (took, found) = timed(|| look_up(&[&server], timeout));
        assert!(
            took >= timeout && took < timeout + SLACK,
            "case {number}: {took:?}"
        );
        let got = error_of(found);
        assert!(
            matches!(got, ServerError::TcpTimeout { .. }),
            "case {number}: {got:?}"
        );
        let (took, found) = timed(|| look_up(&[&server, &good], 2 * timeout));
        assert_eq!(found, Ok(ips(&["192.0.2.1"])), "case {number}");
        assert!(took < timeout + SLACK, "case {number}: {took:?}");
    }
}

#[test]
fn server_without_tcp_leads_to_next_server() {
    // The port is bound, so that no other socket listens there, but it is not served.
    let server = NameServer::udp(|question| vec![question.truncated()]);
    let good = NameServer::good(&ips(&["192.0.2.1"]));
    let timeout = Duration::from_millis(600);
    assert_eq!(look_up(&[&server, &good], timeout), Ok(ips(&["192.0.2.1"])));
}
