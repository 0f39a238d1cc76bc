//! All kinds of servers are synchronized from.

use std::time::Duration;

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
        // The second time, the headers are already there.
        let results = assert_within(Duration::from_secs(2), 1_000, || {
            manager.start_fixed([server.address]).unwrap();
            [(); 2].map(|()| manager.sync_headers(LIMIT))
        });
        let expected = Ok(tip_of(&headers));
        assert_eq!(results, [expected.clone(), expected], "{answers:?}");
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
    let synced = assert_within(SOON, 100, || manager.sync_headers(LIMIT));
    assert_eq!(synced, Ok(tip_of(&headers)));
}
