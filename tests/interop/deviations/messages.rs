//! The fields of messages.

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{
    DecodeError, FeeFilter, Headers, Inv, Inventory, Message, PartialMerkleTree, Protoconf, Reject,
    RejectCode, Txid,
};
use chain_gang::messages as theirs;
use chain_gang::util::Hash256;
use test_support::raw_peer::frame;

use super::{frame_of_payload, refusal};
use crate::codec::{read_ours, read_theirs, their_frame};
use crate::dialer::{Dialer, chain_gang_version};
use crate::served_chain::their_bytes;

/// The number of bytes of a header of a frame.
const FRAME_HEADER: usize = 24;

#[test]
fn protoconf_with_three_fields_is_refused() {
    let protoconf = Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: Some("Default".into()),
    };
    let mut payload = frame(&protoconf.clone().into()).split_off(FRAME_HEADER);
    payload[0] = 3;
    payload.push(0xab);
    let bytes = frame_of_payload("protoconf", &payload);
    assert_eq!(read_ours(&bytes), Ok(protoconf.into()));
    assert!(refusal(&bytes).contains("Unsupported version"));
}

#[test]
fn stream_type_data4_is_refused() {
    let mut payload = vec![17];
    payload.extend_from_slice(&[0; 17]);
    payload.push(5);
    let ack = frame_of_payload("streamack", &payload);
    payload.push(0);
    let create = frame_of_payload("createstrm", &payload);
    for bytes in [ack, create] {
        assert!(read_ours(&bytes).is_ok());
        assert!(refusal(&bytes).contains("Unsupported stream type"));
    }
}

#[test]
fn empty_stream_policy_has_no_length() {
    let bytes = their_frame(&theirs::Message::Createstrm(theirs::Createstrm {
        association_id: vec![0; 17],
        stream_type: 2,
        stream_policy: String::new(),
    }));
    assert_eq!(bytes.len(), FRAME_HEADER + 18 + 1);
    let refused = read_ours(&bytes);
    assert!(
        matches!(refused, Err(DecodeError::Truncated { .. })),
        "{refused:?}"
    );
}

#[test]
fn association_id_of_any_type_is_accepted() {
    let message = theirs::Message::Streamack(theirs::Streamack {
        association_id: vec![1, 2, 3],
        stream_type: 2,
    });
    let bytes = their_frame(&message);
    assert_eq!(read_theirs(&bytes).unwrap(), message);
    let refused = read_ours(&bytes);
    assert!(
        matches!(refused, Err(DecodeError::InvalidValue { .. })),
        "{refused:?}"
    );
}

#[test]
fn long_user_agent_is_accepted() {
    let message = theirs::Message::Version(theirs::Version {
        user_agent: "x".repeat(257),
        ..chain_gang_version()
    });
    let bytes = their_frame(&message);
    assert_eq!(read_theirs(&bytes).unwrap(), message);
    let refused = read_ours(&bytes);
    assert!(
        matches!(refused, Err(DecodeError::TooLong { .. })),
        "{refused:?}"
    );
}

#[test]
fn inventory_above_50000_is_refused() {
    let list = |count| Inv::from(vec![Inventory::Tx(Txid([1; 32])); count]);
    assert!(read_theirs(&frame(&list(50_000).into())).is_ok());
    let bytes = frame(&list(50_001).into());
    assert!(read_ours(&bytes).is_ok());
    assert!(refusal(&bytes).contains("Num objects exceeded maximum"));
}

#[test]
fn headers_above_2000_are_accepted() {
    let message = theirs::Message::Headers(theirs::Headers {
        headers: vec![theirs::BlockHeader::default(); 2_001],
    });
    let bytes = their_frame(&message);
    assert_eq!(read_theirs(&bytes).unwrap(), message);
    let refused = read_ours(&bytes);
    assert!(
        matches!(refused, Err(DecodeError::TooManyEntries { .. })),
        "{refused:?}"
    );
}

#[test]
fn transaction_count_of_header_is_one_byte() {
    let header = theirs::BlockHeader {
        nonce: 7,
        ..Default::default()
    };
    let mut payload = vec![2];
    for _ in 0..2 {
        payload.extend_from_slice(&their_bytes(&header));
        payload.extend_from_slice(&[0xfd, 0x2c, 1]);
    }
    let bytes = frame_of_payload("headers", &payload);
    let Ok(Message::Headers(Headers { headers })) = read_ours(&bytes) else {
        panic!("not headers");
    };
    assert_eq!(headers[0], headers[1]);
    let Ok(theirs::Message::Headers(read)) = read_theirs(&bytes) else {
        panic!("not headers");
    };
    assert_eq!(read.headers[0], header);
    assert_ne!(read.headers[1], header);
}

#[test]
fn reject_of_transaction_requires_hash() {
    let reject = Reject::new("tx", RejectCode::MALFORMED, "error parsing message");
    assert_eq!(reject.hash, None);
    let bytes = frame(&reject.clone().into());
    assert_eq!(read_ours(&bytes), Ok(reject.into()));
    assert!(refusal(&bytes).contains("failed to fill whole buffer"));
}

#[test]
fn true_values_other_than_one_are_false() {
    let mut bytes = their_frame(&theirs::Message::Version(chain_gang_version()));
    let mut payload = bytes.split_off(FRAME_HEADER);
    *payload.last_mut().unwrap() = 2;
    let version = frame_of_payload("version", &payload);
    let Ok(Message::Version(ours)) = read_ours(&version) else {
        panic!("not a version");
    };
    assert_eq!(ours.relay, Some(true));
    let Ok(theirs::Message::Version(read)) = read_theirs(&version) else {
        panic!("not a version");
    };
    assert!(!read.relay);

    let mut payload = vec![2];
    payload.extend_from_slice(&1_u64.to_le_bytes());
    let Ok(theirs::Message::SendCmpct(read)) =
        read_theirs(&frame_of_payload("sendcmpct", &payload))
    else {
        panic!("not a sendcmpct");
    };
    assert!(!read.use_cmpctblock());
}

#[test]
fn newer_commands_of_node_are_unknown() {
    for command in [
        "alert",
        "authresp",
        "datareftx",
        "dsdetected",
        "gethdrsen",
        "hdrsen",
        "revokemid",
        "sendhdrsen",
    ] {
        let read = read_theirs(&frame_of_payload(command, &[1, 2, 3]));
        assert!(matches!(read, Ok(theirs::Message::Other(_))), "{command}");
    }
}

#[test]
fn sendaddrv2_is_unknown_here() {
    let bytes = their_frame(&theirs::Message::SendAddrV2);
    assert!(matches!(read_ours(&bytes), Ok(Message::Unknown { .. })));
    let node = LocalNode::start().unwrap();
    let dialer = Dialer::dial(node.address());
    dialer.wait_connected();
    dialer.send(theirs::Message::SendAddrV2);
    dialer.ping(7);
}

#[test]
fn authch_of_any_length_is_accepted() {
    let message = theirs::Message::Authch(theirs::Authch {
        version: 1,
        message_length: 3,
        message: vec![1, 2, 3],
    });
    let bytes = their_frame(&message);
    assert_eq!(read_theirs(&bytes).unwrap(), message);
    assert!(read_ours(&bytes).is_err());
}

#[test]
fn negative_fee_rate_is_read_as_huge() {
    let ours = FeeFilter { rate: -1 };
    assert!(!ours.is_valid());
    let read = read_theirs(&frame(&ours.into())).unwrap();
    let minfee = u64::MAX;
    assert_eq!(
        read,
        theirs::Message::FeeFilter(theirs::FeeFilter { minfee })
    );
}

#[test]
fn negative_amount_in_compact_block_is_refused() {
    let mut compact = theirs::Cmpctblock::default();
    compact.prefilledtxn.push(Default::default());
    compact.prefilledtxn[0].tx = theirs::Tx {
        inputs: vec![theirs::TxIn::default()],
        outputs: vec![theirs::TxOut {
            satoshis: -1,
            lock_script: chain_gang::script::Script(Vec::new()),
        }],
        ..Default::default()
    };
    let bytes = their_frame(&theirs::Message::Cmpctblock(compact));
    assert!(read_ours(&bytes).is_ok());
    assert!(refusal(&bytes).contains("satoshis negative"));
}

/// chain-gang computes the depth of the tree with numbers of 24 bits.
#[test]
fn merkle_block_of_2097153_transactions_is_invalid() {
    let root = [7; 32];
    let valid = |total_transactions| {
        let tree = PartialMerkleTree {
            total_transactions,
            hashes: vec![bsv_p2p::wire::Hash256(root)],
            flags: vec![0],
        };
        assert_eq!(tree.verify(bsv_p2p::wire::MerkleRoot(root)), Ok(Vec::new()));
        let theirs = theirs::MerkleBlock {
            header: theirs::BlockHeader {
                merkle_root: Hash256(root),
                ..Default::default()
            },
            total_transactions,
            hashes: vec![Hash256(root)],
            flags: vec![0],
        };
        theirs.validate().is_ok()
    };
    assert!(valid(2_097_152));
    assert!(!valid(2_097_153));
}
