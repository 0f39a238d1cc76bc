//! Header requests to a peer with two streams, on which the end marker may overtake the headers.

use std::thread;

use bsv_p2p::wire::{
    BlockHash, BlockHeader, GetData, Headers, Inventory, Message, NotFound, Ping, Pong,
};
use bsv_p2p::{Error, Network};
use test_support::raw_peer::{DEADLINE, RawPeer};

use crate::harness::{Owner, Peer, config, message};

fn genesis() -> BlockHeader {
    BlockHeader::genesis(&Network::Regtest)
}

fn header() -> BlockHeader {
    BlockHeader {
        previous: genesis().hash(),
        ..genesis()
    }
}

fn headers(found: &[BlockHeader]) -> Headers {
    Headers {
        headers: found.to_vec(),
    }
}

/// Requests headers while `script` plays the peer.
fn request(
    peer: &mut Peer,
    script: impl FnOnce(&mut RawPeer, &mut RawPeer) + Send,
) -> Result<Vec<BlockHeader>, Error> {
    let Peer {
        general,
        data1,
        handle,
        ..
    } = peer;
    let data1 = data1.as_mut().expect("a second stream");
    thread::scope(|scope| {
        let handle = &*handle;
        let found = scope.spawn(|| handle.headers(&[genesis().hash()], BlockHash::ZERO, DEADLINE));
        script(general, data1);
        found.join().unwrap()
    })
}

/// Waits for a header request on the second stream. Returns its end marker, which follows on the
/// same stream.
#[track_caller]
fn expect_request(data1: &mut RawPeer) -> NotFound {
    data1.expect("getheaders");
    match data1.next_message() {
        Message::GetData(GetData { inventory }) => {
            assert!(matches!(inventory[..], [Inventory::Tx(_)]));
            NotFound::from(inventory)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn headers_after_overtaking_end_marker_are_the_answer() {
    let owner = Owner::new(config());
    let mut peer = owner.peer_with_two();
    let found = request(&mut peer, |general, data1| {
        let marker = expect_request(data1);
        general.send(marker);
        let fence = data1.expect_ping();
        data1.send(headers(&[header()]));
        data1.send(Pong::new(fence));
    });
    assert_eq!(found, Ok(vec![header()]));
}

#[test]
fn pong_after_overtaking_end_marker_means_no_headers() {
    let owner = Owner::new(config());
    let mut peer = owner.peer_with_two();
    let found = request(&mut peer, |general, data1| {
        let marker = expect_request(data1);
        general.send(marker);
        let fence = data1.expect_ping();
        data1.send(Pong::new(fence));
    });
    assert_eq!(found, Ok(Vec::new()));
    // Subscribers receive neither the marker nor anything else.
    peer.data1().send(message(1));
    let event = owner.messages.recv_timeout(DEADLINE).unwrap();
    assert_eq!(*event.message, message(1));
}

#[test]
fn end_marker_on_header_stream_needs_no_ping() {
    let owner = Owner::new(config());
    let mut peer = owner.peer_with_two();
    let found = request(&mut peer, |_, data1| {
        let marker = expect_request(data1);
        data1.send(marker);
    });
    assert_eq!(found, Ok(Vec::new()));
    peer.handle.send(Ping::new(1), DEADLINE).unwrap();
    assert_eq!(peer.data1().next_message(), Ping::new(1).into());
}
