//! Every vector of `messages.json`.

use std::collections::BTreeSet;

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, Command, DecodeError, Encode, Frame, FrameDropReason, FrameError,
    FrameReader, Incoming, Inv, InvalidCommand, Inventory, LEGACY_MAX_RECEIVE_PAYLOAD,
    MagicMismatch, Message, PayloadLimits, Protoconf,
};
use serde_json::{Value, json};

use crate::fields::fields;
use crate::support::{
    COMMANDS, Seen, bytes, checksum, frame_of, list, network, read_bytes, text, vectors,
};

/// Well-formed commands without a meaning. They decode as unknown messages.
const MEANINGLESS: [&str; 3] = ["", "foobar", "123456789012"];

/// Vectors whose payload is encoded shorter: a field of a later protocol version is dropped.
const SHORTENED: [(&str, &str); 1] = [(
    "protoconf_three_fields_future",
    "0200ca9a3b0744656661756c74",
)];

struct Vector {
    name: String,
    network: Network,
    command: String,
    payload: Vec<u8>,
    frame: Vec<u8>,
    fields: Value,
    extended: bool,
    valid: bool,
    header_only: bool,
}

fn all() -> Vec<Vector> {
    let file = vectors("messages.json");
    let vectors = list(&file).iter().map(|vector| Vector {
        name: text(&vector["name"]).to_owned(),
        network: network(&vector["network"]),
        command: text(&vector["command"]).to_owned(),
        payload: bytes(&vector["payload_hex"]),
        frame: bytes(&vector["frame_hex"]),
        fields: vector["fields"].clone(),
        extended: vector["extended"].as_bool().unwrap(),
        valid: vector["valid"].as_bool().unwrap(),
        header_only: vector.get("header_only").is_some_and(|v| v == true),
    });
    vectors.collect()
}

fn has_no_type(command: &str) -> bool {
    MEANINGLESS.contains(&command)
}

/// Returns the only frame of a vector, and checks that it ends with the vector.
fn only_frame(vector: &Vector) -> Frame {
    let seen = read_bytes(
        vector.network.magic(),
        PayloadLimits::default(),
        &vector.frame,
    );
    match seen {
        Seen {
            mut incoming,
            error: None,
            inside_frame: false,
        } if incoming.len() == 1 => match incoming.pop() {
            Some(Incoming::Frame(frame)) => frame,
            other => panic!("{}: {other:?}", vector.name),
        },
        other => panic!("{}: {other:?}", vector.name),
    }
}

fn decoded(vector: &Vector) -> Message {
    let frame = only_frame(vector);
    assert_eq!(frame.command.name(), vector.command, "{}", vector.name);
    assert_eq!(frame.payload, vector.payload, "{}", vector.name);
    assert_eq!(frame.extended, vector.extended, "{}", vector.name);
    Message::decode(frame.command, frame.payload).unwrap_or_else(|e| panic!("{}: {e}", vector.name))
}

#[test]
fn every_valid_message_is_read_to_its_fields() {
    let mut known = 0;
    for vector in all().iter().filter(|v| v.valid && !v.header_only) {
        let message = decoded(vector);
        let mut expected = vector.fields.clone();
        if vector.name == "protoconf_three_fields_future" {
            // This crate keeps only the first two fields.
            expected["number_of_fields"] = json!(2);
            expected.as_object_mut().unwrap().remove("unknown_trailing");
        }
        if has_no_type(&vector.command) {
            let unknown = Message::Unknown {
                command: Command::new(&vector.command),
                payload: vector.payload.clone().into(),
            };
            assert_eq!(message, unknown, "{}", vector.name);
        } else {
            known += 1;
            assert_eq!(fields(&message), Some(expected), "{}", vector.name);
        }
    }
    assert_eq!(known, 109, "messages with a type among the valid vectors");
}

#[test]
fn valid_vectors_survive_round_trip() {
    for vector in all().iter().filter(|v| v.valid && !v.header_only) {
        let message = decoded(vector);
        let payload = match SHORTENED.iter().find(|(name, _)| *name == vector.name) {
            Some((_, shorter)) => hex::decode(shorter).unwrap(),
            None => vector.payload.clone(),
        };
        assert_eq!(message.encode_to_vec(), payload, "{}", vector.name);
        assert_eq!(
            message.encoded_len(),
            payload.len() as u64,
            "{}",
            vector.name
        );
        let frame = frame_of(vector.network.magic(), &message);
        if vector.extended || payload != vector.payload {
            assert_eq!(frame[24..], payload, "{}", vector.name);
            assert_eq!(frame[20..24], checksum(&payload), "{}", vector.name);
        } else {
            assert_eq!(frame, vector.frame, "{}", vector.name);
        }
    }
}

/// Forms that are accepted like by the node, and never written.
#[test]
fn lax_forms_are_read_as_the_strict_ones() {
    let version = all().swap_remove(0);
    assert_eq!(version.name, "version_outbound_with_association_id");
    let before_relay = hex::encode(&version.payload[..version.payload.len() - 19]);
    let header = hex::encode(Network::Regtest.genesis_header().to_bytes());
    for (command, lax, strict) in [
        // Any byte but zero is true.
        ("sendcmpct", "ff0100000000000000", "010100000000000000"),
        (
            "version",
            &format!("{before_relay}02")[..],
            &format!("{before_relay}01"),
        ),
        // One byte of content is no ID, whichever type it has.
        (
            "version",
            &format!("{before_relay}010107"),
            &format!("{before_relay}0100"),
        ),
        // The count of transactions after a header is ignored.
        (
            "headers",
            &format!("01{header}05"),
            &format!("01{header}00"),
        ),
        (
            "headers",
            &format!("02{header}fdfd00{header}fe00000100"),
            &format!("02{header}00{header}00"),
        ),
        // More fields than are known.
        ("protoconf", "fdfd00000010000161ffff", "02000010000161"),
        // A pong that is too short for a nonce, and one with extra bytes.
        ("pong", "01020304050607", ""),
        ("pong", "0102030405060708ff", "0102030405060708"),
        // Bytes after a message without content.
        ("verack", "00", ""),
        ("filterclear", "00", ""),
        // A truncated age, and one that is present because of a nonzero byte.
        ("mempool", "01100e0000000000", "00"),
        ("mempool", "ff100e000000000000", "01100e000000000000"),
    ] {
        let decode = |digits| {
            let payload = hex::decode(digits).unwrap().into();
            Message::decode(Command::new(command), payload).unwrap()
        };
        assert_eq!(decode(lax), decode(strict), "{command}");
        assert_eq!(hex::encode(decode(lax).encode_to_vec()), strict);
    }
}

/// The vectors prove transactions of blocks in other vectors.
#[test]
fn proofs_of_vectors_verify_for_their_block_only() {
    let mut headers: Vec<BlockHeader> = Vec::new();
    let mut datareftxs = Vec::new();
    let mut checked = 0;
    for vector in all().iter().filter(|v| v.valid && !v.header_only) {
        match decoded(vector) {
            Message::MerkleBlock(block) => {
                let matched = block.verify().unwrap();
                let none = vector.name == "merkleblock_no_match";
                assert_eq!(matched.is_empty(), none, "{}", vector.name);
                headers.push(block.header);
                checked += 1;
            }
            Message::HdrsEn(hdrsen) => {
                for header in hdrsen.headers() {
                    headers.push(header.header);
                    let (coinbase, miner_info) = (&header.coinbase, &header.miner_info);
                    assert_eq!(header.verify_coinbase().is_ok(), coinbase.is_some());
                    assert_eq!(header.verify_miner_info().is_ok(), miner_info.is_some());
                    checked += coinbase.iter().len() + miner_info.iter().len();
                }
            }
            Message::DsDetected(dsdetected) => {
                assert_eq!(dsdetected.verify(), Ok(()), "{}", vector.name);
                checked += dsdetected.blocks().len();
            }
            Message::DatarefTx(content) => datareftxs.push(content),
            _ => {}
        }
    }
    for content in &datareftxs {
        let (its_own, others): (Vec<_>, Vec<_>) = headers
            .iter()
            .partition(|header| content.proof.target().hash() == header.hash().into());
        assert!(!its_own.is_empty() && !others.is_empty());
        assert!(
            its_own
                .iter()
                .all(|header| content.verify_in(header).is_ok())
        );
        assert!(
            others
                .iter()
                .all(|header| content.verify_in(header).is_err())
        );
    }
    assert_eq!(
        (checked, datareftxs.len()),
        (10, 2),
        "proofs in the vectors"
    );
}

#[test]
fn every_known_command_has_a_vector() {
    let here: BTreeSet<String> = all().into_iter().map(|vector| vector.command).collect();
    let expected: BTreeSet<String> = COMMANDS
        .into_iter()
        .chain(MEANINGLESS)
        .chain(["pi\u{1}g"])
        .map(str::to_owned)
        .collect();
    assert_eq!(here, expected);
}

/// The expected result of an invalid vector, or of one that is only a header.
#[derive(Debug, PartialEq)]
enum Fate {
    /// The frame reader fails.
    Fails(FrameError),
    /// The frame is dropped.
    Dropped(FrameDropReason),
    /// The frame is valid, but its payload does not match its command.
    Malformed(DecodeError),
    /// The codec accepts the message. The session checks its content.
    Taken(Message),
    /// The header is accepted, and a payload of this length awaited.
    Awaited(u64),
}

fn fate(vector: &Vector) -> Fate {
    let mut frames = FrameReader::new(vector.network.magic(), PayloadLimits::default());
    let mut source = &vector.frame[..];
    let seen = crate::support::read_all(&mut frames, &mut source);
    if let Some(error) = seen.error {
        assert!(seen.incoming.is_empty(), "{}", vector.name);
        return Fate::Fails(error);
    }
    if let Some((len, missing)) = frames.arriving() {
        assert!(seen.incoming.is_empty() && seen.inside_frame);
        assert_eq!(len, missing, "{}: nothing of the payload came", vector.name);
        return Fate::Awaited(len);
    }
    assert!(!seen.inside_frame, "{}", vector.name);
    match <[Incoming; 1]>::try_from(seen.incoming) {
        Ok([Incoming::Dropped(cause)]) => Fate::Dropped(cause),
        Ok([Incoming::Frame(frame)]) => match Message::decode(frame.command, frame.payload) {
            Ok(message) => Fate::Taken(message),
            Err(error) => Fate::Malformed(error),
        },
        other => panic!("{}: {other:?}", vector.name),
    }
}

#[test]
fn invalid_vectors_fail_as_the_protocol_specifies() {
    let ping = Command::new("ping");
    let block = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048";
    let block: BlockHash = block.parse().unwrap();
    let expected = [
        // Decodes; the limit is the session's business.
        (
            "protoconf_too_small_violation",
            Fate::Taken(Message::Protoconf(Protoconf {
                max_receive_payload: LEGACY_MAX_RECEIVE_PAYLOAD - 1,
                stream_policies: Some("Default".into()),
            })),
        ),
        (
            "createstrm_type_out_of_range",
            Fate::Malformed(DecodeError::InvalidValue {
                field: "stream type",
                expected: "0 to 5",
                got: 6,
            }),
        ),
        // Decodes; which types an `inv` may carry is the session's business.
        (
            "inv_invalid_type",
            Fate::Taken(Message::Inv(Inv {
                inventory: vec![Inventory::FilteredBlock(block)],
            })),
        ),
        ("extmsg_block_header_4gib", Fate::Awaited(4_294_967_296)),
        ("block_header_max_basic", Fate::Awaited(4_294_967_295)),
        (
            "bad_checksum",
            Fate::Dropped(FrameDropReason::ChecksumMismatch {
                command: ping,
                expected: [0xde, 0xad, 0xbe, 0xef],
                got: [0x8c, 0x82, 0x0c, 0x80],
            }),
        ),
        (
            "bad_command_padding",
            Fate::Dropped(FrameDropReason::InvalidCommand(InvalidCommand(
                "ping\0garbage".into(),
            ))),
        ),
        (
            "bad_command_nonprintable",
            Fate::Dropped(FrameDropReason::InvalidCommand(InvalidCommand(
                "pi\u{1}g\0\0\0\0\0\0\0\0".into(),
            ))),
        ),
        (
            "wrong_magic_btc_mainnet",
            Fate::Fails(FrameError::MagicMismatch(MagicMismatch {
                expected: Network::Mainnet.magic(),
                got: Magic([0xf9, 0xbe, 0xb4, 0xd9]),
            })),
        ),
        (
            "oversized_inv_header",
            Fate::Fails(FrameError::TooLong {
                command: "inv".into(),
                len: 2_097_153,
                limit: 2_097_152,
            }),
        ),
        (
            "inv_noncanonical_count",
            Fate::Malformed(DecodeError::NonCanonicalSize {
                field: "inventory",
                value: 1,
            }),
        ),
        (
            "inv_count_9_byte_form",
            Fate::Malformed(DecodeError::SizeTooLarge {
                field: "inventory",
                value: 0x1_0000_0000,
            }),
        ),
        (
            "ping_truncated",
            Fate::Malformed(DecodeError::Truncated {
                field: "ping nonce",
                needed: 8,
                left: 4,
            }),
        ),
    ];
    let odd: Vec<Vector> = all()
        .into_iter()
        .filter(|vector| !vector.valid || vector.header_only)
        .collect();
    let names: Vec<&str> = odd.iter().map(|vector| &vector.name[..]).collect();
    let table: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, table, "the table has every such vector");
    for (vector, (name, expected)) in odd.iter().zip(expected) {
        assert_eq!(fate(vector), expected, "{name}");
    }
}
