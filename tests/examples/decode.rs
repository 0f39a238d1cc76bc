//! `decode`.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    Block, Command, Encode, EncodedFrame, Message, Ping, Reject, RejectCode, Transaction, Tx,
    sha256d,
};
use serde_json::{Value, json};

use crate::tool::{Ended, Tool, command, object, run, text};
use crate::usage::VERACK;

/// Runs `decode` with these bytes on standard input.
fn decode(network: &str, input: &[u8]) -> Ended {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    file.rewind().unwrap();
    let child = command("decode", &["--network", network])
        .stdin(file)
        .spawn();
    Tool::of("decode", child.unwrap()).finish()
}

/// Returns the objects without their event, which depends on the `error` field.
fn objects(ended: &Ended) -> Vec<Value> {
    let objects = ended.lines.iter().map(|line| {
        let mut object = object(line);
        let event = object.as_object_mut().unwrap().remove("event").unwrap();
        let is_rejected = object.get("error").is_some();
        assert_eq!(
            event,
            if is_rejected {
                "FrameRejected"
            } else {
                "Frame"
            }
        );
        object
    });
    objects.collect()
}

/// Encodes a frame with a payload that no encoder of this library produces.
fn frame(magic: Magic, command: &str, payload: &[u8]) -> String {
    let message = Message::Unknown {
        command: Command::new(command),
        payload: payload.to_vec().into(),
    };
    let frame = EncodedFrame::new(magic, &message);
    hex::encode([frame.header(), frame.payload()].concat())
}

fn mainnet(command: &str, payload: &str) -> String {
    frame(
        Network::Mainnet.magic(),
        command,
        &hex::decode(payload).unwrap(),
    )
}

fn extended(command: &str, payload: &str) -> String {
    let mut header = Network::Mainnet.magic().0.to_vec();
    header.extend(Command::new("extmsg").to_bytes());
    header.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    header.extend(Command::new(command).to_bytes());
    header.extend((payload.len() as u64 / 2).to_le_bytes());
    hex::encode(header) + payload
}

/// The texts of at least 64 characters anywhere in a value: hashes, keys, scripts.
fn long_texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if text.len() >= 64 => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| long_texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| long_texts(value, found)),
        _ => {}
    }
}

/// Checks the object of one vector, and returns whether the frame was accepted.
fn check_vector(vector: &Value, object: &Value) -> bool {
    let name = text(vector, "name");
    // The content of these vectors is checked only by a session.
    let taken = ["protoconf_too_small_violation", "inv_invalid_type"];
    let whole = vector["valid"] == true && vector["header_only"] != true;
    if !whole && !taken.contains(&name) {
        let fields = object.as_object().unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["error"], "{name}");
        assert_ne!(text(object, "error"), "", "{name}");
        return false;
    }
    let (reencoded, payload) = (text(object, "reencoded"), text(vector, "payload_hex"));
    assert_eq!(object["command"], vector["command"], "{name}");
    if name == "protoconf_three_fields_future" {
        // The field of a later version of the protocol is ignored.
        assert!(reencoded.len() < 48 + payload.len());
    } else if vector["extended"] == true {
        assert_eq!(&reencoded[48..], payload, "{name}");
    } else {
        assert_eq!(reencoded, text(vector, "frame_hex"), "{name}");
    }
    // Exactly the fields of the message.
    let mut fields = object.clone();
    fields.as_object_mut().unwrap().remove("reencoded");
    let bytes = hex::decode(&reencoded[48..]).unwrap();
    let message = Message::decode(Command::new(text(vector, "command")), bytes.into()).unwrap();
    assert_eq!(fields, serde_json::to_value(&message).unwrap(), "{name}");
    if !matches!(message, Message::Unknown { .. }) {
        let (mut expected, mut shown) = (Vec::new(), Vec::new());
        long_texts(&vector["fields"], &mut expected);
        long_texts(&fields, &mut shown);
        for text in expected {
            assert!(shown.contains(&text), "{name}: {text} is not in {fields}");
        }
    }
    true
}

#[test]
fn decode_keeps_the_order_of_vectors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/messages.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (network, name) in [
        ("mainnet", "main"),
        ("testnet", "test"),
        ("stn", "stn"),
        ("regtest", "regtest"),
    ] {
        let all = file.as_array().unwrap();
        let vectors: Vec<_> = all.iter().filter(|v| v["network"] == name).collect();
        assert!(!vectors.is_empty());
        let lines = vectors.iter().map(|v| text(v, "frame_hex"));
        let ended = decode(network, lines.collect::<Vec<_>>().join("\n").as_bytes());
        let objects = objects(&ended);
        assert_eq!(objects.len(), vectors.len());
        let pairs = vectors.iter().zip(&objects);
        let refused = pairs.filter(|(vector, object)| !check_vector(vector, object));
        match refused.count() {
            0 => ended.assert_success(),
            refused => {
                let said = format!("rejected {refused} of {} frames", vectors.len());
                ended.assert_failure(1, &said)
            }
        };
        // The frames of the others are all refused.
        let others: Vec<_> = all.iter().filter(|v| v["network"] != name).collect();
        let lines = others.iter().map(|v| text(v, "frame_hex"));
        let ended = decode(network, lines.collect::<Vec<_>>().join("\n").as_bytes());
        let objects = self::objects(&ended);
        assert_eq!(objects.len(), others.len());
        for object in objects {
            assert!(text(&object, "error").contains("magic"), "{object}");
        }
    }
}

#[test]
fn decode_shows_block_with_transactions_and_hashes() {
    let block = Block::genesis(&Network::Regtest);
    let magic = Network::Regtest.magic();
    let frame = frame(magic, "block", block.bytes());
    let ended = run("decode", &[&frame, "--network", "regtest"]);
    ended.assert_success();
    let [object] = &objects(&ended)[..] else {
        panic!("{ended:#?}");
    };
    assert!(ended.lines[0].starts_with(r#"{"event":"Frame","command":"block","#));
    let txid = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";
    assert_eq!(text(&object["header"], "hash"), block.hash().to_string());
    assert_eq!(text(&object["header"], "merkle_root"), txid);
    let transaction = &object["transactions"][0];
    assert_eq!(text(transaction, "txid"), txid);
    let input = &transaction["inputs"][0];
    assert_eq!(text(&input["previous"], "txid"), "0".repeat(64));
    assert!(text(input, "script").starts_with("04ffff001d0104455468652054696d6573"));
    assert_eq!(transaction["outputs"][0]["value"], 5_000_000_000_i64);
    assert_eq!(text(object, "reencoded"), frame);
}

/// A rejected frame does not affect the others.
#[test]
fn decode_accepts_concatenated_frames() {
    let ping = |magic, nonce| {
        let payload = Ping::new(nonce).encode_to_vec();
        frame(magic, "ping", &payload)
    };
    let mut bad_checksum = mainnet("ping", "0700000000000000");
    bad_checksum.replace_range(40..48, "deadbeef");
    let frames = [
        ping(Network::Mainnet.magic(), 1),
        ping(Network::Stn.magic(), 2),
        extended("ping", "0300000000000000"),
        bad_checksum,
        mainnet("ping", "04"),
        VERACK.to_uppercase(),
        // Its end is missing.
        ping(Network::Mainnet.magic(), 5)[..60].to_owned(),
    ];
    let in_argument = run("decode", &[&frames.concat()]);
    let in_line = decode("mainnet", frames.concat().as_bytes());
    let in_lines = decode("mainnet", frames.join("\r\n\n \n").as_bytes());
    let together = frames.concat();
    let spaced = together.as_bytes().chunks(7).collect::<Vec<_>>();
    let spaced = run(
        "decode",
        &[std::str::from_utf8(&spaced.join(&b" \t"[..])).unwrap()],
    );
    for ended in [&in_argument, &in_line, &in_lines, &spaced] {
        ended.assert_failure(1, "rejected 4 of 7 frames");
        assert_eq!(ended.lines, in_argument.lines);
    }
    let objects = objects(&in_argument);
    for (object, refused) in objects.iter().zip([
        None,
        Some("a node of BSV STN"),
        None,
        Some("ping: expected checksum deadbeef"),
        Some("ping: ping nonce: expected 8 bytes, got 1"),
        None,
        Some("truncated: 2 bytes of its payload missing"),
    ]) {
        match refused {
            Some(why) => assert!(text(object, "error").contains(why), "{object}"),
            None => assert_eq!(object.get("error"), None),
        }
    }
    assert_eq!(
        objects[2],
        json!({
            "command": "ping",
            "nonce": 3,
            "reencoded": mainnet("ping", "0300000000000000"),
        })
    );
    assert_eq!(objects.len(), 7);
}

#[test]
fn decode_accepts_0x_prefix_and_upper_case() {
    for prefix in ["0x", "0X", " 0x "] {
        for digits in [VERACK.to_owned(), VERACK.to_uppercase()] {
            let frame = prefix.to_owned() + &digits;
            let in_argument = run("decode", &[&frame]);
            let in_line = decode("mainnet", format!("{frame}\n{frame}").as_bytes());
            in_argument.assert_success();
            in_line.assert_success();
            let expected = json!({ "command": "verack", "reencoded": VERACK });
            assert_eq!(objects(&in_line), [expected.clone(), expected.clone()]);
            assert_eq!(objects(&in_argument), [expected]);
        }
    }
    // The prefix is invalid between digits, and alone.
    let between = format!("{VERACK}0x{VERACK}");
    run("decode", &[&between]).assert_failure(1, "1 of 1");
    run("decode", &["0x"]).assert_failure(1, "1 of 1");
}

#[test]
fn decode_escapes_text_to_ascii_without_loss() {
    let reason = "\n\u{1b}[2J\u{7f}\u{9b}31m\u{2028}\u{202e}\u{200b}é\u{1f600}\"\\";
    let reject = Message::from(Reject::new("tx", RejectCode::INVALID, reason));
    let frame = frame(Network::Mainnet.magic(), "reject", &reject.encode_to_vec());
    let ended = run("decode", &[&frame]);
    ended.assert_success();
    assert!(
        ended.lines[0]
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~'))
    );
    let [object] = &objects(&ended)[..] else {
        panic!("{ended:#?}");
    };
    assert_eq!(text(object, "reason"), reason);
    assert_eq!(text(object, "reencoded"), frame);
}

#[test]
fn decode_rejects_invalid_line_and_continues() {
    let lines = [
        &b"zz"[..],
        b"e3e1f3e",
        b"e3e1f3e8",
        b"00",
        b"\xff\xfe",
        VERACK.as_bytes(),
    ];
    let ended = decode("mainnet", &lines.join(&b"\n"[..]));
    ended.assert_failure(1, "rejected 5 of 6 frames");
    let objects = objects(&ended);
    for (object, why) in objects.iter().zip([
        "not hexadecimal",
        "not hexadecimal",
        "truncated within its header, after 4 bytes",
        "truncated within its header, after 1 byte",
        "not hexadecimal",
    ]) {
        assert!(text(object, "error").contains(why), "{object}");
    }
    assert_eq!(
        objects[5],
        json!({ "command": "verack", "reencoded": VERACK })
    );
    run("decode", &["xyz"]).assert_failure(1, "rejected 1 of 1 frame");
    let nothing = decode("mainnet", b"\n \r\n");
    nothing.assert_success();
    assert!(nothing.lines.is_empty());
}

#[test]
fn decode_allocates_nothing_for_claimed_length() {
    let block = extended("block", "");
    let len = block.len();
    let block = block[..len - 16].to_owned() + "ffffffffffffff7f";
    let ended = run("decode", &[&block]);
    ended.assert_failure(1, "1 of 1");
    assert!(
        ended.lines[0].contains("9223372036854775807 bytes"),
        "{ended:?}"
    );
    let more = block[..len - 16].to_owned() + "ffffffffffffffff" + VERACK;
    let ended = run("decode", &[&more]);
    ended.assert_failure(1, "1 of 1");
    assert!(
        ended.lines[0].contains("at most 9223372036854775807 bytes, got 18446744073709551615"),
        "{ended:?}"
    );
}

#[test]
fn decode_normalizes_what_the_node_accepts() {
    let hash = "4860eb18bf1b1620e37e9490fc8a427514416fd75159ab86688e9a8300000000";
    let printed = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048";
    for (command, payload, fields, strict) in [
        // The empty ping of old peers.
        ("ping", "", json!({ "nonce": null }), ""),
        // Bytes after the last field.
        (
            "ping",
            "0700000000000000ffff",
            json!({ "nonce": 7 }),
            "0700000000000000",
        ),
        ("verack", "00", json!({}), ""),
        // Any byte but zero is true.
        (
            "sendcmpct",
            "ff0100000000000000",
            json!({ "announce": true, "version": 1 }),
            "010100000000000000",
        ),
        // Text that is not UTF-8, and a code without a name.
        (
            "reject",
            "02ff61ee0161",
            json!({
                "message": { "hex": "ff61" },
                "code": 0xee,
                "reason": "a",
                "hash": null,
            }),
            "02ff61ee0161",
        ),
        // Unknown types.
        (
            "getdata",
            &format!("0300000000{hash}01000040{hash}02000000{hash}"),
            json!({ "inventory": [
                { "type": 0, "hash": printed },
                { "type": 0x4000_0001, "hash": printed },
                { "type": "block", "hash": printed },
            ] }),
            &format!("0300000000{hash}01000040{hash}02000000{hash}"),
        ),
        // An unknown message.
        ("foo bar", "00ff", json!({ "payload": "00ff" }), "00ff"),
    ] {
        for frame in [mainnet(command, payload), extended(command, payload)] {
            let ended = run("decode", &[&frame]);
            ended.assert_success();
            let mut expected = fields.clone();
            expected["command"] = json!(command);
            expected["reencoded"] = json!(mainnet(command, strict));
            assert_eq!(objects(&ended), [expected]);
        }
    }
}

#[test]
fn decode_writes_unframeable_command_as_payload() {
    for name in ["extmsg", "extmsgXYZ"] {
        let ended = run("decode", &[&extended(name, "0102")]);
        ended.assert_success();
        let expected = json!({ "command": name, "payload": "0102", "reencoded": "0102" });
        assert_eq!(objects(&ended), [expected]);
    }
}

#[test]
fn decode_shows_transaction_with_its_hash() {
    let tx = Tx::from(&Transaction::default());
    let frame = frame(Network::Mainnet.magic(), "tx", tx.bytes());
    let ended = run("decode", &[&frame]);
    ended.assert_success();
    let expected = json!({
        "command": "tx",
        "txid": sha256d(tx.bytes()).to_string(),
        "version": 0,
        "inputs": [],
        "outputs": [],
        "lock_time": 0,
        "reencoded": frame,
    });
    assert_eq!(objects(&ended), [expected]);
}
