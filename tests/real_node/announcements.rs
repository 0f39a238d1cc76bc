//! Block announcements of a real node: by `headers` or by `inv`.

use bsv_p2p::ConnectionConfig;
use bsv_p2p::wire::BlockHash;
use test_support::real_node::RealNode;

use crate::peer::{
    Actor, SOON, announced, assert_good_standing, config, dial, genesis, receive, tip,
};

/// Asserts that three blocks are announced to a connection by the message `by`.
#[track_caller]
fn assert_announced(by: &str, config: &ConnectionConfig, exchange_headers: bool) {
    let node = RealNode::start(&[]);
    node.generate(2);
    let mut connection = dial(&node, config);
    if exchange_headers {
        let headers = connection.headers(&[genesis()], BlockHash::ZERO, SOON);
        assert_eq!(headers.expect("headers").len(), 2);
    }
    for _ in 0..3 {
        node.generate(1);
        let what = "the announcement of a block";
        let (hash, how) = receive(&mut connection, what, |message| announced(&message));
        assert_eq!((hash, how), (tip(&node), by));
        assert_eq!(
            connection.block(hash, SOON).expect("the block").hash(),
            hash
        );
    }
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn blocks_are_announced_by_headers_after_header_exchange() {
    assert_announced("headers", &config(), true);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn blocks_are_announced_by_inv_without_header_exchange() {
    assert_announced("inv", &config(), false);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn blocks_are_announced_by_inv_without_sendheaders() {
    let mut config = config();
    config.session.send_headers = false;
    assert_announced("inv", &config, true);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn actors_receive_block_announcements() {
    let node = RealNode::start(&[]);
    node.generate(2);
    let mut actors = [
        Actor::dial(&node, config()),
        Actor::be_dialed(&node, config()),
    ];
    for actor in &mut actors {
        actor.connected(&node);
    }
    node.generate(1);
    for actor in &mut actors {
        let found = actor.receive("the announcement of a block", announced);
        assert_eq!(found, (tip(&node), "inv"));
    }
    assert_good_standing(&node);
}
