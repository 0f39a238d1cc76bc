//! Abuse of an established second stream: it is still one peer with one end.

use std::io::Read;
use std::thread;
use std::time::Duration;

use bsv_p2p::Error;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{BlockHash, Headers, Inv, Inventory, Message, NotFound, Ping, Pong, Txid};
use test_support::raw_peer::{DEADLINE, frame, header_claiming};

use crate::harness::{Owner, config, message, request};
use crate::samples::block;

#[test]
fn unused_second_stream_is_harmless() {
    let owner = Owner::new(config());
    let (mut peer, data1) = {
        let mut peer = owner.peer_with_two();
        let data1 = peer.data1.take();
        (peer, data1)
    };
    for number in 0..100 {
        peer.general.send(message(number));
        let event = owner.messages.recv_timeout(DEADLINE).unwrap();
        assert_eq!(*event.message, message(number));
        peer.handle.send(message(number), DEADLINE).unwrap();
        assert_eq!(peer.general.expect("test"), message(number));
    }
    peer.handle.disconnect();
    assert_eq!(owner.expect_end(&peer), DisconnectReason::Requested);
    data1.unwrap().rest();
}

#[test]
fn both_streams_accept_every_message() {
    let owner = Owner::new(config());
    let mut peer = owner.peer_with_two();
    let of_both: [Message; 5] = [
        message(1),
        Inv::from(vec![Inventory::Tx(Txid([1; 32]))]).into(),
        Inv::from(vec![Inventory::Block(BlockHash([2; 32]))]).into(),
        Headers::default().into(),
        NotFound::from(vec![Inventory::Tx(Txid([3; 32]))]).into(),
    ];
    for sent in of_both {
        for on_second in [false, true] {
            let stream = match on_second {
                false => &peer.general,
                true => peer.data1.as_ref().unwrap(),
            };
            stream.send(sent.clone());
            let event = owner.messages.recv_timeout(DEADLINE).unwrap();
            assert_eq!(*event.message, sent, "{on_second}");
        }
    }
    // A pong is sent on the stream for responses, wherever the ping arrives.
    peer.data1().send(Ping::new(3));
    while peer.data1().expect("pong") != Pong::new(3).into() {}
    peer.is_well();
}

#[test]
fn fault_on_either_stream_closes_both_once() {
    type Fault = (Vec<u8>, fn(&DisconnectReason) -> bool);
    let faults: [Fault; 3] = [
        (vec![0x55; 24], |reason| {
            matches!(reason, DisconnectReason::WrongMagic(_))
        }),
        (header_claiming("inv", 3_000_000), |reason| {
            matches!(reason, DisconnectReason::FrameTooLarge { .. })
        }),
        (
            frame(&Inv::from(vec![Inventory::FilteredBlock(BlockHash([1; 32]))]).into()),
            |reason| matches!(reason, DisconnectReason::InvalidInventoryType { .. }),
        ),
    ];
    for (bytes, expected) in faults {
        for on_second in [false, true] {
            let owner = Owner::new(config());
            let mut peer = owner.peer_with_two();
            match on_second {
                false => peer.general.send_bytes(&bytes),
                true => peer.data1().send_bytes(&bytes),
            }
            let reason = owner.expect_end(&peer);
            assert!(expected(&reason), "{reason}");
            peer.general.rest();
            peer.data1().rest();
        }
    }
}

#[test]
fn peer_closes_once_whichever_stream_closes_first() {
    for on_second in [false, true] {
        for resets in [false, true] {
            let owner = Owner::new(config());
            let mut peer = owner.peer_with_two();
            let (one, other) = match on_second {
                false => (&mut peer.general, peer.data1.as_mut().unwrap()),
                true => (peer.data1.as_mut().unwrap(), &mut peer.general),
            };
            if resets {
                one.reset();
            } else {
                one.close();
            }
            other.rest();
            let reason = owner.expect_end(&peer);
            let cut = matches!(
                reason,
                DisconnectReason::ConnectionClosed | DisconnectReason::ConnectionReset
            );
            assert!(cut, "{reason}");
        }
    }
}

#[test]
fn messages_before_close_of_other_stream_are_read() {
    for on_second in [false, true] {
        let owner = Owner::new(config());
        let mut peer = owner.peer_with_two();
        let said: Vec<u8> = (0..200)
            .flat_map(|number| frame(&message(number)))
            .collect();
        let (one, other) = match on_second {
            false => (&mut peer.general, peer.data1.as_mut().unwrap()),
            true => (peer.data1.as_mut().unwrap(), &mut peer.general),
        };
        one.send_bytes(&said);
        other.close();
        for number in 0..200 {
            let event = owner.messages.recv_timeout(DEADLINE).unwrap();
            assert_eq!(*event.message, message(number));
        }
        one.rest();
        owner.expect_end(&peer);
    }
}

/// The peer does not wait until this side has opened the stream that it acknowledged.
#[test]
fn messages_before_close_of_new_stream_are_read() {
    for number in 0..200 {
        let owner = Owner::new(config());
        let mut peer = owner.peer();
        let (mut data1, _socket) = owner.dialed();
        data1.send(request(peer.id));
        assert!(matches!(data1.next_message(), Message::StreamAck(_)));
        assert_eq!(owner.slots.count(), 1, "the stream occupies no slot");
        data1.send(message(number));
        data1.close();
        peer.general.close();
        let reason = owner.expect_end(&peer);
        assert_eq!(reason, DisconnectReason::ConnectionClosed);
        let received: Vec<_> = owner.messages.try_iter().flatten().collect();
        let [event] = &received[..] else {
            panic!("round {number}: {received:?}");
        };
        assert_eq!(*event.message, message(number));
    }
}

#[test]
fn stream_closed_within_block_fails_its_requests() {
    let block = block(200, 5_000);
    let bytes = frame(&block.clone().into());
    let owner = Owner::new(config());
    let mut peer = owner.peer_with_two();
    thread::scope(|scope| {
        let handle = &peer.handle;
        let asked = scope.spawn(|| handle.block(block.hash(), DEADLINE));
        let data1 = peer.data1.as_mut().unwrap();
        data1.expect("getdata");
        data1.send_bytes(&bytes[..bytes.len() / 2]);
        data1.close();
        let answer = asked.join().unwrap();
        assert!(
            matches!(answer, Err(Error::Disconnected { .. })),
            "{answer:?}"
        );
    });
    assert_eq!(owner.expect_end(&peer), DisconnectReason::ConnectionClosed);

    let mut peer = owner.peer_with_two();
    thread::scope(|scope| {
        let handle = &peer.handle;
        let asked = scope.spawn(|| {
            let mut reader = handle.block_reader(block.hash(), DEADLINE).unwrap();
            let mut read = Vec::new();
            let end = reader.read_to_end(&mut read);
            (read.len(), end.is_err())
        });
        let data1 = peer.data1.as_mut().unwrap();
        data1.expect("getdata");
        data1.send_bytes(&bytes[..bytes.len() / 2]);
        data1.close();
        let (len, failed) = asked.join().unwrap();
        assert!(failed && len <= bytes.len() / 2, "{len}");
    });
    assert_eq!(owner.expect_end(&peer), DisconnectReason::ConnectionClosed);
}

#[test]
fn stall_on_either_direction_of_stream_closes_peer() {
    let mut config = config();
    config.read_stall_timeout = Duration::from_millis(300);
    config.write_timeout = Duration::from_millis(300);
    let block = block(100, 5_000);
    let bytes = frame(&block.clone().into());
    let owner = Owner::new(config);
    let mut peer = owner.peer_with_two();
    peer.data1().send_bytes(&bytes[..bytes.len() / 2]);
    let reason = owner.expect_end(&peer);
    assert!(
        matches!(reason, DisconnectReason::ReadStall { .. }),
        "{reason}"
    );
    peer.general.rest();

    let mut peer = owner.peer_with_two();
    // More than system buffers hold for a peer that does not read.
    let mut refused = None;
    for _ in 0..64 {
        if let Err(error) = peer.handle.send(block.clone(), DEADLINE) {
            refused = Some(error);
            break;
        }
    }
    let reason = owner.expect_end(&peer);
    assert!(
        matches!(reason, DisconnectReason::SlowReader { .. }),
        "{reason}"
    );
    if let Some(error) = refused {
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    }
    peer.general.rest();
}

#[test]
fn scores_of_both_streams_add_up() {
    let mut config = config();
    config.session.ban_threshold = 4;
    let owner = Owner::new(config);
    let mut peer = owner.peer_with_two();
    // Each scores one: a compact size above the maximum.
    let payload = [0xff, 0, 0, 0, 0, 1, 0, 0, 0];
    let unreadable = Message::Unknown {
        command: bsv_p2p::wire::Command::new("inv"),
        payload: payload.to_vec().into(),
    };
    for on_second in [false, true, false, true] {
        match on_second {
            false => peer.general.send(unreadable.clone()),
            true => peer.data1().send(unreadable.clone()),
        }
        owner.wait_for("the misbehavior", |event| {
            matches!(event, ControlEvent::PeerMisbehavior { .. })
        });
    }
    let reason = owner.expect_end(&peer);
    assert_eq!(reason, DisconnectReason::Misbehaved { score: 4 });
    peer.general.rest();
    peer.data1().rest();
}
