//! The system's resolver, which is there with every feature and without.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bsv_p2p::discovery::{Deadline, ResolveError, SeedResolver, SystemResolver};

const ENOUGH: Duration = Duration::from_secs(30);

#[test]
fn addresses_and_localhost_are_answered_and_wrong_names_refused() {
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

/// RFC 6761, section 6.4: nobody has this name. Whether the system says so at once or waits for a name server depends on it.
#[test]
fn the_deadline_holds_whatever_the_system_does() {
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
fn what_is_over_before_it_begins_asks_nobody() {
    let found = SystemResolver.resolve("seed.invalid", &Deadline::after(Duration::ZERO));
    assert!(
        matches!(found, Err(ResolveError::TimedOut { .. })),
        "{found:?}"
    );
    let until = Deadline::after(ENOUGH).with_cancel_flag(Arc::new(AtomicBool::new(true)));
    let found = SystemResolver.resolve("seed.invalid", &until);
    assert_eq!(found, Err(ResolveError::Stopped));
}
