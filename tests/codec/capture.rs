//! Recorded traffic between two nodes.

use std::collections::BTreeMap;

use bsv_p2p::Network;
use bsv_p2p::wire::{Incoming, Message, PayloadLimits};

use crate::support::{bytes, frame_of, list, read_bytes, text, vectors};

#[test]
fn recorded_frames_survive_round_trip() {
    let capture = vectors("capture-regtest.json");
    let magic = Network::Regtest.magic();
    // One stream for each connection and direction, as the nodes sent it.
    let mut streams: BTreeMap<(u64, &str), Vec<_>> = BTreeMap::new();
    for frame in list(&capture["frames"]) {
        let connection = frame["tcp_connection"].as_u64().unwrap();
        let stream = streams.entry((connection, text(&frame["from"])));
        stream.or_default().push(frame);
    }
    assert_eq!(streams.len(), 4, "two connections, two directions");
    for (stream, recorded) in streams {
        let sent: Vec<u8> = recorded
            .iter()
            .flat_map(|frame| bytes(&frame["frame_hex"]))
            .collect();
        let seen = read_bytes(magic, PayloadLimits::default(), &sent);
        assert_eq!((seen.error, seen.inside_frame), (None, false), "{stream:?}");
        assert_eq!(seen.incoming.len(), recorded.len(), "{stream:?}");
        for (incoming, recorded) in seen.incoming.into_iter().zip(recorded) {
            let Incoming::Frame(frame) = incoming else {
                panic!("{incoming:?}");
            };
            assert_eq!(frame.command.name(), text(&recorded["command"]));
            assert_eq!(frame.payload.len() as u64, recorded["payload_len"]);
            let message = Message::decode(frame.command, frame.payload).unwrap();
            let written = frame_of(magic, &message);
            assert_eq!(written, bytes(&recorded["frame_hex"]), "{message:?}");
        }
    }
}

#[test]
fn recorded_blocks_have_valid_root_and_work() {
    let capture = vectors("capture-regtest.json");
    let mut blocks = 0;
    for recorded in list(&capture["frames"]) {
        let frame = bytes(&recorded["frame_hex"]);
        let seen = read_bytes(Network::Regtest.magic(), PayloadLimits::default(), &frame);
        for incoming in seen.incoming {
            let Incoming::Frame(frame) = incoming else {
                panic!("{incoming:?}");
            };
            if let Message::Block(block) = Message::decode(frame.command, frame.payload).unwrap() {
                blocks += 1;
                assert_eq!(block.check_merkle_root(), Ok(()));
                let header = block.header();
                assert_eq!(header.check_proof_of_work(&Network::Regtest), Ok(()));
            }
        }
    }
    assert_eq!(blocks, 6);
}
