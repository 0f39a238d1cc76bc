//! Queries, and the interpretation of answers.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use bsv_p2p::discovery::{Deadline, DnsResolver, ResolveError, SeedResolver};

use crate::name_server::{ENOUGH, NameServer, SEED, SLACK, look_up, timed};
use crate::packets::{A, AAAA, NO_ERROR, NXDOMAIN, Question, REFUSED, Record, SERVFAIL, ips};

fn not_found() -> Result<Vec<IpAddr>, ResolveError> {
    Err(ResolveError::NotFound { name: SEED.into() })
}

#[test]
fn both_address_families_are_queried_concurrently() {
    // The server answers the first query only after the second.
    let mut first: Option<Question> = None;
    let all = ips(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    let known = all.clone();
    let server = NameServer::udp(move |question| match first.take() {
        Some(first) => vec![question.found(&known), first.found(&known)],
        None => {
            first = Some(question.clone());
            Vec::new()
        }
    });
    let (took, found) = timed(|| look_up(&[&server], ENOUGH));
    assert_eq!(found, Ok(all));
    assert_eq!(server.questions(), 2, "after {took:?}");
}

/// The announced packet size is 1232 bytes.
#[test]
fn query_sets_recursion_edns_and_random_id() {
    let server = NameServer::good(&ips(&["192.0.2.1"]));
    let mut ids = HashSet::new();
    for _ in 0..16 {
        look_up(&[&server], ENOUGH).unwrap();
        for kind in [A, AAAA] {
            let question = server.next_question();
            assert_eq!(question.name, SEED);
            assert_eq!(question.kind, kind);
            assert!(question.recursion_desired());
            assert_eq!(question.udp_payload(), Some(1232));
            ids.insert(question.id());
        }
    }
    // Of 32 random IDs two can be equal; more than three pairs occur once in ten billion runs.
    assert!(ids.len() > 28, "{ids:?}");
    let near = |id: &u16| ids.contains(&id.wrapping_add(1));
    assert!(ids.iter().filter(|id| near(id)).count() < 4, "{ids:?}");
}

#[test]
fn addresses_are_unique_with_ipv4_first() {
    let known = ips(&[
        "2001:db8::1",
        "192.0.2.2",
        "192.0.2.1",
        "::ffff:192.0.2.2",
        "192.0.2.2",
        "::ffff:192.0.2.3",
    ]);
    let server = NameServer::good(&known);
    let wanted = ips(&["192.0.2.2", "192.0.2.1", "2001:db8::1", "192.0.2.3"]);
    assert_eq!(look_up(&[&server], ENOUGH), Ok(wanted));
}

#[test]
fn alias_resolves_to_addresses_of_its_target() {
    let server = NameServer::udp(|question| {
        let records = [
            Record::cname(SEED, "other.test"),
            Record::address("other.test", [192, 0, 2, 1].into()),
        ];
        vec![question.answer(NO_ERROR, &records[..if question.kind == A { 2 } else { 1 }])]
    });
    assert_eq!(look_up(&[&server], ENOUGH), Ok(ips(&["192.0.2.1"])));
}

#[test]
fn negative_or_empty_answer_ends_lookup() {
    let next = NameServer::good(&ips(&["192.0.2.1"]));
    for code in [NXDOMAIN, NO_ERROR] {
        let server = NameServer::udp(move |question| vec![question.answer(code, &[])]);
        let (took, found) = timed(|| look_up(&[&server, &next], ENOUGH));
        assert_eq!(found, not_found());
        assert_eq!(server.questions(), 2, "code {code}, after {took:?}");
    }
    assert_eq!(next.questions(), 0);
}

/// The result of the other family does not matter.
#[test]
fn nonexistence_in_one_family_denies_name() {
    let next = NameServer::good(&ips(&["192.0.2.1"]));
    for denied in [A, AAAA] {
        let server = NameServer::udp(move |question| {
            let code = if question.kind == denied {
                NXDOMAIN
            } else {
                SERVFAIL
            };
            vec![question.answer(code, &[])]
        });
        assert_eq!(look_up(&[&server, &next], ENOUGH), not_found());
    }
    assert_eq!(next.questions(), 0);
}

#[test]
fn empty_and_failed_family_try_next_server() {
    let next = NameServer::good(&ips(&["192.0.2.1"]));
    let server = NameServer::udp(|question| {
        let code = if question.kind == A {
            NO_ERROR
        } else {
            SERVFAIL
        };
        vec![question.answer(code, &[])]
    });
    let found = look_up(&[&server, &next], ENOUGH);
    assert_eq!(found, Ok(ips(&["192.0.2.1"])));
}

#[test]
fn addresses_of_one_family_are_enough() {
    for (known, other) in [("192.0.2.1", AAAA), ("2001:db8::1", A)] {
        let known = ips(&[known]);
        for code in [NO_ERROR, NXDOMAIN, SERVFAIL, REFUSED] {
            let addresses = known.clone();
            let server = NameServer::udp(move |question| {
                vec![if question.kind == other {
                    question.answer(code, &[])
                } else {
                    question.found(&addresses)
                }]
            });
            let found = look_up(&[&server], ENOUGH);
            assert_eq!(found, Ok(known.clone()), "code {code}");
        }
    }
}

#[test]
fn missing_family_is_retried_for_a_second() {
    let known = ips(&["192.0.2.1"]);
    let addresses = known.clone();
    let server = NameServer::udp(move |question| match question.kind {
        A => vec![question.found(&addresses)],
        _ => Vec::new(),
    });
    let (took, found) = timed(|| look_up(&[&server], ENOUGH));
    assert_eq!(found, Ok(known));
    let second = Duration::from_secs(1);
    assert!(took >= second && took < second + SLACK, "{took:?}");
    let kinds: Vec<_> = server.asked.try_iter().map(|asked| asked.kind).collect();
    assert_eq!(kinds[..3], [A, AAAA, AAAA]);
}

#[test]
fn name_server_can_have_ipv6_address() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        // Many containers have no IPv6.
        return eprintln!("not tested: there is no IPv6 here");
    }
    let known = ips(&["2001:db8::1"]);
    let addresses = known.clone();
    let server = NameServer::udp_on(Ipv6Addr::LOCALHOST.into(), move |question| {
        vec![question.found(&addresses)]
    });
    assert_eq!(look_up(&[&server], ENOUGH), Ok(known));
}

#[test]
fn addresses_and_localhost_need_no_server() {
    let server = NameServer::silent();
    let resolver = DnsResolver::new(vec![server.address]);
    let until = Deadline::after(ENOUGH);
    for (name, addresses) in [
        ("192.0.2.1", ips(&["192.0.2.1"])),
        ("localhost", ips(&["127.0.0.1", "::1"])),
    ] {
        assert_eq!(resolver.resolve(name, &until), Ok(addresses));
    }
    let wrong = resolver.resolve("no name!", &until);
    assert!(matches!(wrong, Err(ResolveError::InvalidName { .. })));
    assert_eq!(server.questions(), 0);
}

#[test]
fn absolute_name_is_queried_without_final_dot() {
    let server = NameServer::good(&ips(&["192.0.2.1"]));
    let resolver = DnsResolver::new(vec![server.address]);
    let found = resolver.resolve("Seed.test.", &Deadline::after(ENOUGH));
    assert_eq!(found, Ok(ips(&["192.0.2.1"])));
    assert_eq!(server.next_question().name, "Seed.test");
}
