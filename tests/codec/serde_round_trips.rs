//! Serialized wire types deserialize to equal values, and deserialization never panics.

use std::fmt::Debug;

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    Block, BlockHash, BloomFlags, Command, CompactTarget, ExtendOutcome, Frame, Hash256,
    MagicMismatch, MatchedTransaction, Mempool, MerkleProofTarget, MerkleRoot, Message, OutPoint,
    PayloadLimits, ProofSubject, RejectCode, Services, ShortIdKey, StreamPolicy, StreamType,
    TimestampedAddress, TransactionInput, TransactionOutput, Tx, Txid, Version, Work,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{from_value, json, to_value};

use crate::any_message::message;
use crate::parts::{
    address, association_id, bloom_filter, hash, header, inventory, stream_type, string,
    transaction, version,
};
use crate::support::{bytes, cases, list, text, vectors};

/// Asserts that a value survives a round trip in every kind of format.
#[track_caller]
fn assert_round_trips<T>(value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
    // The fields are in alphabetical order here.
    let sorted = to_value(value).unwrap();
    assert_eq!(&from_value::<T>(sorted).unwrap(), value, "{json}");
    let bytes = postcard::to_stdvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), value, "{json}");
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn messages_survive_serde_round_trip(message in message()) {
        assert_round_trips(&message);
        let object = to_value(&message).unwrap();
        prop_assert_eq!(&object["command"], &json!(message.command().name()));
    }

    #[test]
    fn message_parts_survive_serde_round_trip(
        (hash, string, address, id) in (hash(), string(300), address(), association_id()),
        (version, inventory, header) in (version(), inventory(), header()),
        (transaction, filter, stream_type) in (transaction(), bloom_filter(), stream_type()),
        (number, code, age) in (any::<u64>(), any::<u8>(), any::<i64>()),
    ) {
        assert_round_trips(&BlockHash(hash));
        assert_round_trips(&Txid(hash));
        assert_round_trips(&MerkleRoot(hash));
        assert_round_trips(&Hash256(hash));
        assert_round_trips(&string);
        assert_round_trips(&address);
        assert_round_trips(&TimestampedAddress { time: number as u32, address });
        assert_round_trips(&id);
        assert_round_trips(&version);
        assert_round_trips(&inventory);
        assert_round_trips(&header);
        assert_round_trips(&transaction);
        assert_round_trips(&Tx::from(&transaction));
        for input in &transaction.inputs {
            assert_round_trips::<TransactionInput>(input);
            assert_round_trips::<OutPoint>(&input.previous);
        }
        for output in &transaction.outputs {
            assert_round_trips::<TransactionOutput>(output);
        }
        assert_round_trips(&Block::new(&header, &[transaction.clone(), transaction.clone()]));
        assert_round_trips(&filter);
        assert_round_trips(&stream_type);
        assert_round_trips(&Services(number));
        assert_round_trips(&CompactTarget(number as u32));
        assert_round_trips(&RejectCode(code));
        assert_round_trips(&BloomFlags(code));
        assert_round_trips(&Magic(*hash.first_chunk().unwrap()));
        for mempool in [Mempool::Empty, Mempool::NoAge, Mempool::Age(age)] {
            assert_round_trips(&mempool);
        }
        assert_round_trips(&Frame {
            command: Command::new("foo bar"),
            payload: hash.to_vec().into(),
            extended: number % 2 == 0,
        });
        assert_round_trips(&Work::from_be_bytes(hash));
        assert_round_trips(&ShortIdKey { k0: number, k1: !number });
        assert_round_trips(&MatchedTransaction { position: code.into(), txid: Txid(hash) });
        for transaction in [ProofSubject::Txid(Txid(hash)), ProofSubject::Tx(Tx::from(&transaction))] {
            assert_round_trips(&transaction);
        }
        for target in [
            MerkleProofTarget::Block(BlockHash(hash)),
            MerkleProofTarget::MerkleRoot(MerkleRoot(hash)),
            MerkleProofTarget::Unknown { flags: 2, hash: Hash256(hash) },
        ] {
            assert_round_trips(&target);
        }
        for extended in [
            ExtendOutcome::Known,
            ExtendOutcome::SideChain { headers: code.into() },
            ExtendOutcome::NewTip { disconnected: vec![], connected: vec![BlockHash(hash)] },
        ] {
            assert_round_trips(&extended);
        }
        assert_round_trips(&PayloadLimits { ceiling: number, ..PayloadLimits::default() });
    }

    #[test]
    fn no_bytes_and_no_text_make_reading_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        message in message(),
        at in any::<prop::sample::Index>(),
        other in select(vec!["null", "7", "-1", "1.5", "\"é\"", "[]", "{}", "true"]),
    ) {
        let _ = postcard::from_bytes::<Message>(&bytes);
        let _ = postcard::from_bytes::<Version>(&bytes);
        let _ = serde_json::from_slice::<Message>(&bytes);
        // Another value for any field.
        let mut object = to_value(&message).unwrap();
        let fields = object.as_object_mut().unwrap();
        let name = fields.keys().nth(at.index(fields.len())).unwrap().clone();
        fields.insert(name, serde_json::from_str(other).unwrap());
        let _ = from_value::<Message>(object);
        // A changed byte in the other format.
        let mut written = postcard::to_stdvec(&message).unwrap();
        let at = at.index(written.len());
        written[at] ^= 0x81;
        let _ = postcard::from_bytes::<Message>(&written);
    }
}

#[test]
fn names_survive_serde_round_trip() {
    for network in Network::ALL {
        assert_round_trips(&network);
        assert_eq!(to_value(&network).unwrap(), network.name());
    }
    for policy in [StreamPolicy::Default, StreamPolicy::BlockPriority] {
        assert_round_trips(&policy);
        assert_eq!(to_value(policy).unwrap(), policy.name());
    }
    for byte in 0..=5 {
        let stream = StreamType::try_from(byte).unwrap();
        assert_eq!(to_value(stream).unwrap(), stream.to_string());
    }
    for name in ["", "ping", "foo bar", "123456789012", "\"\\"] {
        assert_round_trips(&Command::new(name));
        assert_eq!(to_value(Command::new(name)).unwrap(), name);
    }
    assert_round_trips(&MagicMismatch {
        expected: Network::Mainnet.magic(),
        got: Magic(*b"HTTP"),
    });
}

#[test]
fn valid_vectors_survive_serde_round_trip() {
    let file = vectors("messages.json");
    for vector in list(&file).iter().filter(|vector| vector["valid"] == true) {
        let command = Command::new(text(&vector["command"]));
        let Ok(message) = Message::decode(command, bytes(&vector["payload_hex"]).into()) else {
            // A header alone.
            assert_eq!(vector["header_only"], true);
            continue;
        };
        assert_round_trips(&message);
    }
}
