//! The system resolver, which is available with and without features.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bsv_p2p::discovery::{Deadline, ResolveError, SeedResolver, SystemResolver};

const ENOUGH: Duration = Duration::from_secs(30);

#[test]
fn system_resolver_accepts_addresses_and_rejects_invalid_names() {
    let until = Deadline::after(ENOUGH);
    let loopback: [IpAddr; 2] = [[127, 0, 0, 1].into(), [0, 0, 0, 0, 0, 0, 0, 1].into()];
    for (name, addresses) in [
        ("::ffff:127.0.0.1", &loopback[..1]),
        ("localhost", &loopback),
    ] {
        assert_eq!(
            SystemResolver.resolve(name, &until).as_deref(),
            Ok(addresses)
        );
    }
    for name in ["", "no name!", "seed.test:8333", "1.2.3"] {
        let wrong = SystemResolver.resolve(name, &until);
        assert!(
            matches!(&wrong, Err(ResolveError::InvalidName { name: told, .. }) if told == name),
            "{wrong:?}"
        );
    }
}

/// The name does not exist (RFC 6761, section 6.4). It depends on the system whether this is known
/// locally or queried.
#[test]
fn system_resolver_keeps_the_deadline() {
    let timeout = Duration::from_millis(300);
    let began = Instant::now();
    let found = SystemResolver.resolve("seed.invalid", &Deadline::after(timeout));
    let took = began.elapsed();
    assert!(took < timeout + Duration::from_millis(900), "{took:?}");
    assert!(
        matches!(&found, Err(ResolveError::System { name, .. } | ResolveError::TimedOut { name, .. })
            if name == "seed.invalid"),
        "{found:?}"
    );
}

#[test]
fn expired_or_stopped_lookup_queries_nobody() {
    let found = SystemResolver.resolve("seed.invalid", &Deadline::after(Duration::ZERO));
    assert!(
        matches!(found, Err(ResolveError::TimedOut { .. })),
        "{found:?}"
    );
    let until = Deadline::after(ENOUGH).with_cancel_flag(Arc::new(AtomicBool::new(true)));
    let found = SystemResolver.resolve("seed.invalid", &until);
    assert_eq!(found, Err(ResolveError::Cancelled));
}
