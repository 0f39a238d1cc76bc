//! A real name server.
//!
//! It is the program named by the environment variable `DNSMASQ`. Without it these tests are
//! ignored:
//! `DNSMASQ=$(.ci/fetch-dnsmasq target/dnsmasq) cargo test --test discovery -- --include-ignored`.

use std::net::IpAddr;

use bsv_p2p::discovery::{Deadline, DnsResolver, ResolveError, SeedResolver};
use test_support::dnsmasq::Dnsmasq;

use crate::name_server::ENOUGH;
use crate::packets::ips;

fn resolve(server: &Dnsmasq, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
    DnsResolver::new(vec![server.address()]).resolve(name, &Deadline::after(ENOUGH))
}

fn record(name: &str, addresses: &str) -> String {
    format!("--host-record={name},{addresses}")
}

#[test]
#[ignore = "needs dnsmasq: DNSMASQ"]
fn dnsmasq_resolves_both_families_and_aliases() {
    let server = Dnsmasq::start(&[
        record("seed.test", "192.0.2.1,2001:db8::1"),
        record("four.test", "192.0.2.4"),
        record("six.test", "2001:db8::6"),
        "--cname=alias.test,seed.test".into(),
    ]);
    for (name, addresses) in [
        ("seed.test", ips(&["192.0.2.1", "2001:db8::1"])),
        ("SEED.Test.", ips(&["192.0.2.1", "2001:db8::1"])),
        ("alias.test", ips(&["192.0.2.1", "2001:db8::1"])),
        ("four.test", ips(&["192.0.2.4"])),
        ("six.test", ips(&["2001:db8::6"])),
    ] {
        assert_eq!(resolve(&server, name), Ok(addresses), "{name}");
    }
}

#[test]
#[ignore = "needs dnsmasq: DNSMASQ"]
fn dnsmasq_sends_sixty_addresses_over_tcp() {
    let mut known: Vec<IpAddr> = (1..=60).map(|last| [192, 0, 2, last].into()).collect();
    let records: Vec<_> = known
        .iter()
        .map(|ip| record("many.test", &ip.to_string()))
        .collect();
    let server = Dnsmasq::start(&records);
    // The server sends them in its own order.
    let mut found = resolve(&server, "many.test").unwrap();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

#[test]
#[ignore = "needs dnsmasq: DNSMASQ"]
fn dnsmasq_reports_unknown_name() {
    let server = Dnsmasq::start(&[record("seed.test", "192.0.2.1")]);
    let name = "other.test".to_owned();
    let found = resolve(&server, &name);
    assert_eq!(found, Err(ResolveError::NotFound { name }));
}
