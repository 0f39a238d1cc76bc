//! Header requests to peers that answer them in different ways.

use std::thread;
use std::time::Duration;

use bsv_p2p::wire::{
    BlockHash, BlockHeader, GetData, GetHeaders, Inventory, Message, Ping, Pong, Txid,
};
use bsv_p2p::{Connection, Error, Network, Timeout};
use test_support::raw_peer::{DEADLINE, RawPeer};

use crate::answers::{block_question, getdata, header_on, headers, mined, not_found};
use crate::harness::{Actor, config, connected, message};

/// The timeout of requests without a response.
const SHORT: Duration = Duration::from_millis(200);

/// The number of headers in the chain of a server, without genesis.
const TIP: usize = 2_500;

/// The behavior of a peer for `getheaders`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Server {
    /// Like an SV Node: from the child of the common ancestor on, or of genesis. The list is empty
    /// at the tip.
    Node,
    /// Like a Teranode: from the common ancestor on, with that one. No answer if it knows no block
    /// of the locator.
    FromAncestor,
    /// Like older Teranodes: no answer at the tip.
    SilentAtTip,
    /// Like a Teranode that still loads headers itself: no answer.
    Syncing,
    /// Like an SV Node, but with at most 500 headers.
    SmallBatches,
    /// No answer to anything but pings.
    Silent,
}

impl Server {
    /// Returns the headers that are sent for `locator`, or `None` for no answer.
    fn headers(self, chain: &[BlockHeader], locator: &[BlockHash]) -> Option<Vec<BlockHeader>> {
        let height = |hash: &BlockHash| chain.iter().position(|header| header.hash() == *hash);
        let ancestor = locator.iter().find_map(height);
        let (first, limit) = match self {
            Server::Node | Server::SilentAtTip => (ancestor.unwrap_or(0) + 1, 2_000),
            Server::SmallBatches => (ancestor.unwrap_or(0) + 1, 500),
            Server::FromAncestor => (ancestor?, 2_000),
            Server::Syncing | Server::Silent => return None,
        };
        let rest = &chain[first.min(chain.len())..];
        let answer = rest[..rest.len().min(limit)].to_vec();
        (!answer.is_empty() || self != Server::SilentAtTip).then_some(answer)
    }

    /// Answers `count` header requests and their end markers.
    fn serve(self, peer: &mut RawPeer, chain: &[BlockHeader], count: usize) {
        for _ in 0..count {
            self.answer_getheaders(peer, chain);
            let marker = getdata(peer);
            assert!(matches!(marker[..], [Inventory::Tx(_)]), "{marker:?}");
            if self != Server::Silent {
                peer.send(not_found(&marker));
            }
        }
    }

    fn answer_getheaders(self, peer: &mut RawPeer, chain: &[BlockHeader]) {
        loop {
            match peer.next_message() {
                Message::GetHeaders(GetHeaders { locator, .. }) => {
                    if let Some(found) = self.headers(chain, &locator) {
                        peer.send(headers(&found));
                    }
                    return;
                }
                Message::Ping(Ping { nonce }) => peer.send(Pong { nonce }),
                _ => {}
            }
        }
    }
}

/// Returns a chain of [`TIP`] headers after genesis, which is the first entry.
fn chain() -> Vec<BlockHeader> {
    let genesis = BlockHeader::genesis(&Network::Regtest);
    let template = header_on(genesis.hash());
    let next = |last: &BlockHeader| {
        Some(BlockHeader {
            previous: last.hash(),
            ..template
        })
    };
    std::iter::successors(Some(genesis), next)
        .take(TIP + 1)
        .collect()
}

/// Returns the heights of the headers that each server's answer brings, for locators of one height.
/// `None` is a block that the peer does not know.
fn cases(server: Server) -> [(Option<usize>, std::ops::Range<usize>); 4] {
    let none = 0..0;
    match server {
        Server::Node => [
            (Some(0), 1..2_001),
            (Some(1_500), 1_501..TIP + 1),
            (Some(TIP), none),
            (None, 1..2_001),
        ],
        Server::FromAncestor => [
            (Some(0), 1..2_000),
            (Some(1_500), 1_501..TIP + 1),
            (Some(TIP), none.clone()),
            (None, none),
        ],
        Server::SilentAtTip => [
            (Some(0), 1..2_001),
            (Some(TIP - 1), TIP..TIP + 1),
            (Some(TIP), none),
            (None, 1..2_001),
        ],
        Server::Syncing => [
            (Some(0), none.clone()),
            (Some(1_500), none.clone()),
            (Some(TIP), none.clone()),
            (None, none),
        ],
        Server::SmallBatches => [
            (Some(0), 1..501),
            (Some(500), 501..1_001),
            (Some(TIP - 20), TIP - 19..TIP + 1),
            (Some(TIP), none),
        ],
        Server::Silent => unreachable!("it gives no result"),
    }
}

/// Requests headers by `request` for each case, while the server answers.
fn check_cases(
    server: Server,
    peer: &mut RawPeer,
    mut request: impl FnMut(&[BlockHash]) -> Result<Vec<BlockHeader>, Error>,
) {
    let chain = chain();
    let cases = cases(server);
    thread::scope(|scope| {
        let served = scope.spawn(|| server.serve(peer, &chain, cases.len()));
        for (known, expected) in &cases {
            let known = known.map_or(BlockHash([9; 32]), |height| chain[height].hash());
            let found = request(&[BlockHash([8; 32]), known]);
            let found = found.unwrap_or_else(|error| panic!("{server:?}: {error}"));
            assert!(
                found == chain[expected.clone()],
                "{server:?} {expected:?}: {} headers",
                found.len()
            );
        }
        served.join().unwrap();
    });
}

const ANSWERING: [Server; 5] = [
    Server::Node,
    Server::FromAncestor,
    Server::SilentAtTip,
    Server::Syncing,
    Server::SmallBatches,
];

#[test]
fn connection_receives_headers_from_every_kind_of_server() {
    for server in ANSWERING {
        let (mut connection, mut peer) = connected(&config());
        check_cases(server, &mut peer, |locator| {
            connection.headers(locator, BlockHash::ZERO, DEADLINE)
        });
        // No end marker is left over.
        peer.send(message("last"));
        assert_eq!(connection.receive().unwrap(), message("last"));
    }
}

#[test]
fn handle_receives_headers_from_every_kind_of_server() {
    for server in ANSWERING {
        let (actor, mut peer) = Actor::connected(&config());
        check_cases(server, &mut peer, |locator| {
            actor.handle.headers(locator, BlockHash::ZERO, DEADLINE)
        });
        peer.send(message("last"));
        assert_eq!(actor.next_message(), message("last"));
    }
}

/// A Teranode does not know requests for one header by its hash.
#[test]
fn request_by_hash_without_answer_is_empty() {
    let (mut connection, mut peer) = connected(&config());
    let chain = chain();
    thread::scope(|scope| {
        scope.spawn(|| Server::FromAncestor.serve(&mut peer, &chain, 1));
        let found = connection.headers(&[], chain[7].hash(), DEADLINE);
        assert_eq!(found, Ok(Vec::new()));
    });
}

#[test]
fn silent_server_times_out() {
    let is_timeout = |result: Result<_, Error>| {
        matches!(
            result,
            Err(Error::Timeout {
                which: Timeout::Response,
                ..
            })
        )
    };
    let genesis = BlockHeader::genesis(&Network::Regtest).hash();
    let chain = chain();
    let (mut connection, mut peer): (Connection, _) = connected(&config());
    thread::scope(|scope| {
        // The second request is preceded by a ping. Its pong is no response.
        scope.spawn(|| Server::Silent.serve(&mut peer, &chain, 2));
        for _ in 0..2 {
            let result = connection.headers(&[genesis], BlockHash::ZERO, SHORT);
            assert!(is_timeout(result.map(drop)));
        }
    });
    let (actor, mut peer) = Actor::connected(&config());
    thread::scope(|scope| {
        scope.spawn(|| Server::Silent.serve(&mut peer, &chain, 2));
        for _ in 0..2 {
            let result = actor.handle.headers(&[genesis], BlockHash::ZERO, SHORT);
            assert!(is_timeout(result.map(drop)));
        }
    });
}

/// The answer and the end marker of a request that timed out arrive before the answer to the next
/// one.
#[test]
fn late_answer_does_not_end_next_request() {
    let (actor, mut peer) = Actor::connected(&config());
    let chain = chain();
    let request = |timeout| {
        let locator = [chain[0].hash()];
        actor.handle.headers(&locator, BlockHash::ZERO, timeout)
    };
    assert!(request(SHORT).is_err());
    peer.expect("getheaders");
    let late = getdata(&mut peer);
    thread::scope(|scope| {
        let next = scope.spawn(|| request(DEADLINE));
        let fence = peer.expect_ping();
        peer.expect("getheaders");
        let marker = getdata(&mut peer);
        peer.send(headers(&chain[1..3]));
        peer.send(not_found(&late));
        peer.send(Pong::new(fence));
        peer.send(headers(&chain[1..4]));
        peer.send(not_found(&marker));
        assert_eq!(next.join().unwrap().as_deref(), Ok(&chain[1..4]));
    });
    peer.send(message("last"));
    // Only the late headers reach subscribers.
    assert_eq!(actor.next_message(), headers(&chain[1..3]));
    assert_eq!(actor.next_message(), message("last"));
}

#[test]
fn end_markers_of_concurrent_requests_are_distinct() {
    let block = mined(1);
    let genesis = BlockHeader::genesis(&Network::Regtest).hash();
    for headers_end_first in [true, false] {
        let (actor, mut peer) = Actor::connected(&config());
        thread::scope(|scope| {
            let handle = &actor.handle;
            let found = scope.spawn(|| handle.headers(&[genesis], BlockHash::ZERO, DEADLINE));
            peer.expect("getheaders");
            let end_of_headers = getdata(&mut peer)[0];
            let fetched = scope.spawn(|| handle.block(block.hash(), DEADLINE));
            let end_of_block = block_question(&mut peer, block.hash());
            assert_ne!(end_of_headers, end_of_block);
            if headers_end_first {
                peer.send(not_found(&[end_of_headers]));
                assert_eq!(found.join().unwrap(), Ok(Vec::new()));
                assert!(!fetched.is_finished());
                peer.send(not_found(&[end_of_block]));
                let fetched = fetched.join().unwrap();
                assert!(matches!(fetched, Err(Error::NotFound { .. })));
            } else {
                peer.send(not_found(&[end_of_block]));
                let fetched = fetched.join().unwrap();
                assert!(matches!(fetched, Err(Error::NotFound { .. })));
                assert!(!found.is_finished());
                let answer = [header_on(genesis)];
                peer.send(headers(&answer));
                assert_eq!(found.join().unwrap().as_deref(), Ok(&answer[..]));
                peer.send(not_found(&[end_of_headers]));
            }
        });
        // Other missing objects are delivered to the application.
        let other = not_found(&[Inventory::Tx(Txid([7; 32]))]);
        peer.send(other.clone());
        assert_eq!(actor.next_message(), other.into());
    }
}

#[test]
fn end_marker_request_lists_one_transaction() {
    let (actor, mut peer) = Actor::connected(&config());
    let mut markers = Vec::new();
    for _ in 0..2 {
        thread::scope(|scope| {
            let locator = [BlockHash([7; 32])];
            let handle = &actor.handle;
            let found = scope.spawn(move || handle.headers(&locator, BlockHash::ZERO, DEADLINE));
            peer.expect("getheaders");
            // Nothing is sent in between.
            let Message::GetData(GetData { inventory }) = peer.next_message() else {
                panic!("no getdata after the getheaders");
            };
            assert_eq!(inventory.len(), 1);
            markers.push(inventory[0]);
            peer.send(not_found(&inventory));
            assert_eq!(found.join().unwrap(), Ok(Vec::new()));
        });
    }
    assert_ne!(markers[0], markers[1]);
}
