//! All kinds of servers are synchronized from.

use std::time::{Duration, Instant};

use test_support::header_server::{Answers, HeaderServerOptions};

use super::*;

#[test]
fn every_kind_of_server_is_synchronized() {
    let headers = mined_headers(4_300, 1);
    for answers in [
        Answers::Node,
        Answers::AtMost(500),
        Answers::Inclusive,
        Answers::NothingAtTip,
    ] {
        let manager = manager(config());
        let server = HeaderServerOptions::new(&headers, answers).listen();
        let started = Instant::now();
        manager.start_fixed([server.address]).unwrap();
        assert_eq!(
            manager.sync_headers(LIMIT),
            Ok(tip_of(&headers)),
            "{answers:?}"
        );
        // With the headers already there.
        assert_eq!(
            manager.sync_headers(LIMIT),
            Ok(tip_of(&headers)),
            "{answers:?}"
        );
        let elapsed = started.elapsed();
        assert!(elapsed < Duration::from_secs(2), "{answers:?}: {elapsed:?}");
    }
}

#[test]
fn claimed_height_does_not_count() {
    let headers = mined_headers(30, 1);
    let manager = manager(config());
    let server = HeaderServerOptions {
        claimed_height: 1_000_000,
        ..HeaderServerOptions::new(&headers, Answers::Node)
    };
    let server = server.listen();
    manager.start_fixed([server.address]).unwrap();
    let started = Instant::now();
    assert_eq!(manager.sync_headers(LIMIT), Ok(tip_of(&headers)));
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
}
