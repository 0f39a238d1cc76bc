//! Values above protocol limits are rejected by serde in both kinds of formats.

use std::fmt::Debug;

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Addr, AssociationId, Authresp, BlockHeader, CreateStrm, EnrichedHeader, FilterAdd, Hash256,
    HdrsEn, Headers, MerkleProofTarget, Message, NetworkAddress, Protoconf, Reject, RejectCode,
    RevokeMid, Services, StreamType, TimestampedAddress, Version, WireString,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Asserts that a value is written, and read back if `taken`, refused otherwise.
#[track_caller]
fn assert_read<T>(value: &T, taken: bool)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let json = serde_json::to_string(value).unwrap();
    let bytes = postcard::to_stdvec(value).unwrap();
    let from_json = serde_json::from_str::<T>(&json).ok();
    let from_bytes = postcard::from_bytes::<T>(&bytes).ok();
    for read in [from_json, from_bytes] {
        assert_eq!(read.as_ref(), taken.then_some(value));
    }
}

/// Like [`assert_read`], for a type that is the content of a message, alone and inside it.
#[track_caller]
fn assert_message<T>(content: T, taken: bool)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + Into<Message>,
{
    assert_read(&content, taken);
    let message = content.into();
    assert_eq!(message.validate().is_ok(), taken);
    assert_read(&message, taken);
}

fn text(len: usize) -> WireString {
    "x".repeat(len).into()
}

#[test]
fn text_above_limit_of_field_is_rejected() {
    let version = |len| Version {
        version: 70016,
        services: Services::NONE,
        timestamp: 0,
        receiver: NetworkAddress::unspecified(Services::NONE),
        sender: Some(NetworkAddress::unspecified(Services::NONE)),
        nonce: Some(1),
        user_agent: Some(text(len)),
        start_height: None,
        relay: None,
        association_id: None,
    };
    assert_message(version(256), true);
    assert_message(version(257), false);
    let protoconf = |len| Protoconf {
        max_receive_payload: 1,
        stream_policies: Some(text(len)),
    };
    assert_message(protoconf(650), true);
    assert_message(protoconf(651), false);
    let createstrm = |len| CreateStrm {
        association_id: AssociationId::Null,
        stream_type: StreamType::Data1,
        stream_policy: text(len),
    };
    assert_message(createstrm(64), true);
    assert_message(createstrm(65), false);
    for (message, reason, taken) in [(12, 111, true), (13, 111, false), (12, 112, false)] {
        let reject = Reject {
            message: text(message),
            code: RejectCode::DUST,
            reason: text(reason),
            hash: None,
        };
        assert_message(reject, taken);
    }
}

#[test]
fn bytes_above_limit_of_field_are_rejected() {
    for (len, taken) in [(0, true), (520, true), (521, false)] {
        assert_message(FilterAdd { data: vec![7; len] }, taken);
    }
    for (len, taken) in [(69, false), (70, true), (72, true), (73, false)] {
        let authresp = Authresp {
            public_key: [2; 33],
            client_nonce: 7,
            signature: vec![7; len],
        };
        assert_message(authresp, taken);
    }
    for (len1, len2, taken) in [(255, 255, true), (256, 0, false), (0, 256, false)] {
        let revokemid = RevokeMid {
            revocation_key: [2; 33],
            miner_id: [3; 33],
            id_to_revoke: [4; 33],
            signature1: vec![5; len1],
            signature2: vec![6; len2],
        };
        assert_eq!(Message::from(revokemid.clone()).validate().is_ok(), taken);
        assert_read(&revokemid, taken);
    }
}

#[test]
fn list_above_its_limit_is_rejected() {
    let entry = TimestampedAddress {
        time: 1,
        address: NetworkAddress::unspecified(Services::NONE),
    };
    let header = BlockHeader::genesis(&Network::Regtest);
    let enriched = EnrichedHeader {
        header,
        transaction_count: 1,
        no_more_headers: false,
        coinbase: None,
        miner_info: None,
    };
    for (more, taken) in [(0, true), (1, false)] {
        let addresses = vec![entry; 1000 + more];
        assert_message(Addr { addresses }, taken);
        let headers = vec![header; 2000 + more];
        assert_message(Headers { headers }, taken);
        let hdrsen = HdrsEn::new(&vec![enriched.clone(); 2000 + more]);
        assert_message(hdrsen, taken);
    }
}

#[test]
fn reject_hash_requires_tx_or_block() {
    for (message, taken) in [("tx", true), ("block", true), ("inv", false)] {
        let reject = Reject {
            hash: Some(Hash256([7; 32])),
            ..Reject::new(message, RejectCode::INVALID, "why")
        };
        assert_read(&reject, taken);
    }
}

#[test]
fn flags_of_known_target_are_never_unknown() {
    for (flags, taken) in [
        (0, false),
        (4, false),
        (1, false),
        (3, false),
        (2, true),
        (6, true),
    ] {
        let hash = Hash256([7; 32]);
        assert_read(&MerkleProofTarget::Unknown { flags, hash }, taken);
    }
}
