//! The serde forms of all wire types, in JSON and in a binary format that is not self-describing.

use std::fmt::Debug;

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    AssociationId, Block, BlockHash, BlockHeader, BloomFilter, Command, CompactTarget, DecodeError,
    ExtendOutcome, Inventory, Mempool, MerkleProofTarget, MerkleRoot, Message, PayloadLimits, Ping,
    Reject, RejectCode, Services, StreamAck, StreamType, Transaction, Tx, Txid, WireString, Work,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json, to_value};

fn read<T: DeserializeOwned>(json: Value) -> Result<T, String> {
    let from_text = serde_json::from_str::<T>(&json.to_string());
    from_value::<T>(json).map_err(|error| {
        assert!(from_text.is_err(), "both ways to read agree");
        error.to_string()
    })
}

#[track_caller]
fn assert_refused<T: DeserializeOwned + Debug>(json: Value, why: &str) {
    let refused = read::<T>(json.clone()).unwrap_err();
    assert!(refused.contains(why), "{json}: {refused}");
}

#[test]
fn message_json_starts_with_its_command() {
    let written = |message: Message| serde_json::to_string(&message).unwrap();
    assert_eq!(written(Message::Verack), r#"{"command":"verack"}"#);
    assert_eq!(
        written(Ping::new(7).into()),
        r#"{"command":"ping","nonce":7}"#
    );
    assert_eq!(
        written(Ping { nonce: None }.into()),
        r#"{"command":"ping","nonce":null}"#
    );
    let unknown = Message::Unknown {
        command: Command::new("foobar"),
        payload: vec![0xab, 0x01].into(),
    };
    assert_eq!(written(unknown), r#"{"command":"foobar","payload":"ab01"}"#);
    for (mempool, expected) in [
        (Mempool::Empty, r#"{"command":"mempool"}"#),
        (Mempool::NoAge, r#"{"command":"mempool","age":null}"#),
        (Mempool::Age(-1), r#"{"command":"mempool","age":-1}"#),
    ] {
        assert_eq!(written(mempool.into()), expected);
    }
}

/// Duplicate fields are rejected at any depth.
#[test]
fn message_json_accepts_any_order_and_unknown_fields() {
    let ping = Message::Ping(Ping::new(7));
    for json in [
        r#"{"command":"ping","nonce":7}"#,
        r#"{"nonce":7,"command":"ping"}"#,
        r#"{"more":[1.5,{"x":null,"y":-1,"z":true}],"nonce":7,"command":"ping"}"#,
        r#"{"command":"ping","more":{"x":1.5},"nonce":7}"#,
    ] {
        assert_eq!(
            serde_json::from_str::<Message>(json).unwrap(),
            ping,
            "{json}"
        );
    }
    for json in [
        r#"{"command":"verack","x":[1]}"#,
        r#"{"x":[1],"command":"verack"}"#,
    ] {
        let verack = serde_json::from_str::<Message>(json).unwrap();
        assert_eq!(verack, Message::Verack);
    }
    // Duplicate fields are rejected, before and after the command, at any depth.
    let address = r#"{"time":1,"time":1}"#;
    for json in [
        r#"{"command":"ping","nonce":7,"nonce":7}"#.to_owned(),
        r#"{"nonce":7,"nonce":7,"command":"ping"}"#.to_owned(),
        format!(r#"{{"command":"addr","addresses":[{address}]}}"#),
        format!(r#"{{"addresses":[{address}],"command":"addr"}}"#),
    ] {
        let refused = serde_json::from_str::<Message>(&json).unwrap_err();
        assert!(
            refused.to_string().contains("duplicate field"),
            "{json}: {refused}"
        );
    }
    assert_refused::<Message>(json!({}), "missing field `command`");
    assert_refused::<Message>(json!({ "nonce": 7 }), "missing field `command`");
    assert_refused::<Message>(json!({ "command": 7 }), "invalid type");
    assert_refused::<Message>(json!({ "command": "feefilter" }), "missing field `rate`");
    assert_refused::<Message>(json!({ "command": "foobar" }), "missing field `payload`");
    assert_refused::<Message>(json!({ "a": 1, "command": "ping", "nonce": -1 }), "-1");
    assert_refused::<Message>(json!("ping"), "an object with `command`");
}

#[test]
fn block_json_includes_all_hashes() {
    let block = Block::genesis(&Network::Regtest);
    let txid = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";
    let coinbase = block.transactions().next().unwrap();
    let script = |script: &[u8]| hex::encode(script);
    let expected = json!({
        "command": "block",
        "header": {
            "hash": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
            "version": 1,
            "previous": "0".repeat(64),
            "merkle_root": txid,
            "time": 1_296_688_602,
            "bits": "207fffff",
            "nonce": 2,
        },
        "transactions": [{
            "txid": txid,
            "version": 1,
            "inputs": [{
                "previous": { "txid": "0".repeat(64), "index": u32::MAX },
                "script": script(coinbase.inputs().next().unwrap().script),
                "sequence": u32::MAX,
            }],
            "outputs": [{
                "value": 5_000_000_000_i64,
                "script": script(coinbase.outputs().next().unwrap().script),
            }],
            "lock_time": 0,
        }],
    });
    assert_eq!(to_value(Message::from(block.clone())).unwrap(), expected);
    let transaction = &expected["transactions"][0];
    assert_eq!(&to_value(coinbase).unwrap(), transaction);
    assert_eq!(&to_value(Transaction::from(coinbase)).unwrap(), transaction);
    assert_eq!(&to_value(Tx::from(coinbase)).unwrap(), transaction);
    assert_eq!(to_value(block.header()).unwrap(), expected["header"]);
    let views = (coinbase.inputs().next(), coinbase.outputs().next());
    assert_eq!(to_value(views.0).unwrap(), transaction["inputs"][0]);
    assert_eq!(to_value(views.1).unwrap(), transaction["outputs"][0]);
    let bytes = postcard::to_stdvec(&coinbase).unwrap();
    let tx = postcard::from_bytes::<Tx>(&bytes).unwrap();
    assert_eq!(tx, Tx::from(coinbase));
}

#[test]
fn hash_in_json_is_optional_but_checked() {
    let block = Block::genesis(&Network::Regtest);
    let other = "1".repeat(64);
    let mut json = to_value(&block).unwrap();
    json["header"].as_object_mut().unwrap().remove("hash");
    json["transactions"][0]
        .as_object_mut()
        .unwrap()
        .remove("txid");
    assert_eq!(read::<Block>(json.clone()).unwrap(), block);
    let mut wrong = json.clone();
    wrong["header"]["hash"] = json!(other);
    assert_refused::<Block>(wrong, "got 0f9188f1");
    let mut wrong = json;
    wrong["transactions"][0]["txid"] = json!(other);
    assert_refused::<Tx>(wrong["transactions"][0].clone(), "got 4a5e1e4b");
    assert_refused::<Block>(wrong, "got 4a5e1e4b");
}

#[test]
fn small_types_serialize_as_documented() {
    let hash = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048";
    let block = hash.parse::<BlockHash>().unwrap();
    assert_eq!(to_value(block).unwrap(), hash);
    for (inventory, kind) in [
        (Inventory::Tx(Txid(block.0)), json!("tx")),
        (Inventory::Block(block), json!("block")),
        (Inventory::FilteredBlock(block), json!("filtered_block")),
        (Inventory::CompactBlock(block), json!("compact_block")),
        (Inventory::DatarefTx(Txid(block.0)), json!("datareftx")),
        (
            Inventory::Unknown {
                kind: 0x4000_0001,
                hash: block.into(),
            },
            json!(0x4000_0001),
        ),
    ] {
        let expected = json!({ "type": kind, "hash": hash });
        assert_eq!(to_value(inventory).unwrap(), expected);
        let number = json!({ "type": inventory.kind(), "hash": hash });
        assert_eq!(read::<Inventory>(number).unwrap(), inventory);
    }
    assert_eq!(to_value(WireString::from("é\n")).unwrap(), "é\n");
    let bytes = WireString::from(&[b'a', 0xff][..]);
    assert_eq!(to_value(&bytes).unwrap(), json!({ "hex": "61ff" }));
    let text = read::<WireString>(json!({ "hex": "61" })).unwrap();
    assert_eq!(text, "a");
    let ack = StreamAck {
        association_id: AssociationId::Null,
        stream_type: StreamType::Data1,
    };
    let expected = json!({ "association_id": "none", "stream_type": "DATA1" });
    assert_eq!(to_value(ack).unwrap(), expected);
    let reject = Reject::new("tx", RejectCode::DUST, "dust");
    let expected = json!({ "message": "tx", "code": 0x41, "reason": "dust", "hash": null });
    assert_eq!(to_value(&reject).unwrap(), expected);
    assert_eq!(to_value(Network::Regtest.magic()).unwrap(), "dab5bffa");
    let limits = to_value(PayloadLimits::default()).unwrap();
    assert_eq!(limits["ceiling"], Value::Null);
    let address = bsv_p2p::wire::NetworkAddress::new(
        Services::NETWORK | Services::BITCOIN_CASH,
        "203.0.114.7:8333".parse().unwrap(),
    );
    let expected = json!({ "services": 33, "ip": "203.0.114.7", "port": 8333 });
    assert_eq!(to_value(address).unwrap(), expected);
    let work = CompactTarget(0x207f_ffff).work();
    let digits = format!("{}2", "0".repeat(63));
    assert_eq!(to_value(work).unwrap(), digits);
    assert_refused::<Work>(json!("2"), "hexadecimal digits");
    assert_refused::<Work>(json!("02"), "as many bytes as the field has");
    assert_eq!(to_value(ExtendOutcome::Known).unwrap(), "known");
    let expected = json!({ "side_chain": { "headers": 3 } });
    assert_eq!(
        to_value(ExtendOutcome::SideChain { headers: 3 }).unwrap(),
        expected
    );
    let target = MerkleProofTarget::MerkleRoot(MerkleRoot(block.0));
    assert_eq!(to_value(target).unwrap(), json!({ "merkle_root": hash }));
    let error = DecodeError::TooLong {
        field: "filter",
        limit: 1,
        got: 2,
    };
    let expected = json!({ "error": "too_long", "field": "filter", "limit": 1, "got": 2 });
    assert_eq!(to_value(error).unwrap(), expected);
}

#[test]
fn values_outside_their_type_are_rejected() {
    for hash in ["", "0", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
        assert_refused::<Txid>(json!(hash), "64 hexadecimal digits");
    }
    for magic in [
        "dab5bff",
        "dab5bf",
        "dab5bffaff",
        "dab5bffg",
        "+ab5bffa",
        "éé",
    ] {
        assert!(read::<Magic>(json!(magic)).is_err(), "{magic}");
        assert!(read::<CompactTarget>(json!(magic)).is_err(), "{magic}");
    }
    for name in ["1234567890123", "é", "a\u{1}", "a\0", "\0"] {
        assert_refused::<Command>(json!(name), "up to twelve printable ASCII characters");
    }
    for id in ["", "None", "7"] {
        assert_refused::<AssociationId>(json!(id), "a UUID or `none`");
    }
    let hash = "0".repeat(64);
    for kind in [
        json!("witness_tx"),
        json!(-1),
        json!(1_u64 << 32),
        json!(null),
    ] {
        let inventory = json!({ "type": kind, "hash": hash });
        assert_refused::<Inventory>(inventory, "the name or the number");
    }
    for string in [
        json!(7),
        json!({}),
        json!({ "hex": "0" }),
        json!({ "hex": 7 }),
    ] {
        assert_refused::<WireString>(string, "a string, or an object with `hex`");
    }
    assert_refused::<StreamType>(json!("DATA5"), "unknown variant");
    let filter = |bytes: usize, functions: u32| {
        json!({
            "data": "00".repeat(bytes),
            "hash_functions": functions,
            "tweak": 0,
            "flags": 0,
        })
    };
    assert!(read::<BloomFilter>(filter(36_000, 50)).is_ok());
    assert_refused::<BloomFilter>(filter(36_001, 50), "expected at most 36000 bytes");
    assert_refused::<BloomFilter>(filter(36_000, 51), "expected at most 50 entries");
}

/// Returns bytes as they are encoded in a binary format: after their length.
fn behind_length(bytes: &[u8]) -> Vec<u8> {
    postcard::to_stdvec(bytes).unwrap()
}

#[test]
fn binary_form_rejects_missing_or_trailing_bytes() {
    let header = BlockHeader::genesis(&Network::Regtest).to_bytes();
    assert!(postcard::from_bytes::<BlockHeader>(&behind_length(&header)).is_ok());
    // One byte more than a block without transactions.
    let longer = [&header[..], &[0, 0]].concat();
    for bytes in [&header[..79], &longer, &[]] {
        let bytes = behind_length(bytes);
        assert!(postcard::from_bytes::<BlockHeader>(&bytes).is_err());
        assert!(postcard::from_bytes::<Tx>(&bytes).is_err());
        assert!(postcard::from_bytes::<Block>(&bytes).is_err());
        assert!(postcard::from_bytes::<Txid>(&bytes).is_err());
    }
    // A message is decoded like a received one.
    let message = [&behind_length(b"ping")[..], &behind_length(&[7; 9])].concat();
    let read = postcard::from_bytes::<Message>(&message).unwrap();
    assert_eq!(read, Message::Ping(Ping::new(0x0707_0707_0707_0707)));
    let message = [&behind_length(b"ping")[..], &behind_length(&[7; 7])].concat();
    assert!(postcard::from_bytes::<Message>(&message).is_err());
}
