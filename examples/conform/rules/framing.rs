//! Frames around messages, and the sizes in them.

use bsv_p2p::network::Magic;
use bsv_p2p::wire::{Encode, GetData, Inventory, Message, NotFound, Ping, Pong, RejectCode};

use super::{RULE, SILENT, teranode};
use crate::finding::{Check, Finding};
use crate::messages::{extended_frame, frame, header, random, unknown_block, unknown_tx};
use crate::node::{Node, protoconf};
use crate::probe::Probe;
use crate::rule::{Bans, Difference, Rule};

const FRAMES: &str = "SV Node 1.2.2, src/protocol.cpp and src/net/net_message.cpp";
const SIZES: &str = "SV Node 1.2.2, src/serialize.h";

const MALFORMED_AT_TERANODE: &[Difference] = &[teranode(
    "Teranode rejects it as malformed and closes the connection",
)];
const NO_EXTENDED_AT_TERANODE: &[Difference] = &[teranode(
    "Teranode cannot read extended frames and closes the connection",
)];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "frame-in-pieces",
        text: "a frame may arrive byte by byte",
        source: FRAMES,
        expected: "pong",
        check: frame_in_pieces,
        ..RULE
    },
    Rule {
        id: "checksum-invalid",
        text: "a frame with an invalid checksum is dropped",
        source: FRAMES,
        expected: SILENT,
        differences: MALFORMED_AT_TERANODE,
        check: checksum_invalid,
        ..RULE
    },
    Rule {
        id: "command-unknown",
        text: "a message with an unknown command is ignored",
        expected: SILENT,
        differences: MALFORMED_AT_TERANODE,
        check: command_unknown,
        ..RULE
    },
    Rule {
        id: "command-full-length",
        text: "a command may fill all 12 bytes",
        source: FRAMES,
        expected: SILENT,
        differences: MALFORMED_AT_TERANODE,
        check: command_full_length,
        ..RULE
    },
    Rule {
        id: "command-padding",
        text: "a frame whose command has other bytes than NUL after the first NUL is dropped",
        source: FRAMES,
        expected: SILENT,
        differences: MALFORMED_AT_TERANODE,
        check: command_padding,
        ..RULE
    },
    Rule {
        id: "command-unprintable",
        text: "a frame whose command has a byte outside 0x20 to 0x7e is dropped",
        source: FRAMES,
        expected: SILENT,
        differences: MALFORMED_AT_TERANODE,
        check: command_unprintable,
        ..RULE
    },
    Rule {
        id: "command-empty",
        text: "a frame with an empty command is ignored",
        source: FRAMES,
        expected: SILENT,
        differences: MALFORMED_AT_TERANODE,
        check: command_empty,
        ..RULE
    },
    Rule {
        id: "payload-longest",
        text: "a payload of the length in the node's protoconf is accepted",
        source: FRAMES,
        expected: SILENT,
        differences: MALFORMED_AT_TERANODE,
        check: payload_longest,
        ..RULE
    },
    Rule {
        id: "payload-truncated",
        text: "a payload that is shorter than its fields is rejected as malformed",
        expected: "reject getdata 0x01, connection open",
        differences: MALFORMED_AT_TERANODE,
        check: payload_truncated,
        ..RULE
    },
    Rule {
        id: "payload-extra-bytes",
        text: "bytes after the last field of a payload are ignored",
        expected: "notfound",
        check: payload_extra_bytes,
        ..RULE
    },
    Rule {
        id: "size-not-canonical",
        text: "a compact size that is not in its shortest form is rejected as malformed",
        source: SIZES,
        expected: "reject getdata 0x01, connection open",
        differences: MALFORMED_AT_TERANODE,
        check: size_not_canonical,
        ..RULE
    },
    Rule {
        id: "size-too-large",
        text: "a compact size above 0xffffffff is rejected as malformed",
        source: SIZES,
        expected: "reject getdata 0x01, connection open",
        differences: MALFORMED_AT_TERANODE,
        check: size_too_large,
        ..RULE
    },
    Rule {
        id: "extended-frame",
        text: "a short message in an extended frame is accepted",
        source: FRAMES,
        expected: "pong",
        differences: NO_EXTENDED_AT_TERANODE,
        check: extended_ping,
        ..RULE
    },
    Rule {
        id: "extended-basic-length",
        text: "the basic length of an extended frame is ignored",
        source: FRAMES,
        expected: "pong",
        differences: NO_EXTENDED_AT_TERANODE,
        check: extended_basic_length,
        ..RULE
    },
    Rule {
        id: "extended-longer-name",
        text: "a command that begins with extmsg marks an extended frame",
        source: FRAMES,
        expected: "pong",
        differences: NO_EXTENDED_AT_TERANODE,
        check: extended_longer_name,
        ..RULE
    },
    Rule {
        id: "extended-version",
        text: "the first version may come in an extended frame",
        source: FRAMES,
        expected: "handshake complete",
        differences: NO_EXTENDED_AT_TERANODE,
        check: extended_version,
        ..RULE
    },
    Rule {
        id: "payload-too-long",
        text: "a payload longer than the limit in the node's protoconf ends the connection and gets the address banned",
        source: FRAMES,
        expected: "close",
        bans: Bans::AtOnce,
        check: payload_too_long,
        ..RULE
    },
    Rule {
        id: "magic-mismatched",
        text: "a frame with the magic of another network ends the connection and gets the address banned",
        source: FRAMES,
        expected: "close",
        bans: Bans::AtOnce,
        check: magic_mismatched,
        ..RULE
    },
];

fn frame_in_pieces(node: &Node) -> Check {
    answers_ping(node, |magic, payload| frame(magic, b"ping", payload), 1)
}

fn checksum_invalid(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let mut ping = frame(probe.magic(), b"ping", &random().to_le_bytes());
    ping[20] ^= 0xff;
    probe.send_bytes(&ping);
    probe.stays_silent()
}

fn command_unknown(node: &Node) -> Check {
    ignores(node, b"foobar", b"any content")
}

fn command_full_length(node: &Node) -> Check {
    ignores(node, b"twelve_bytes", &[])
}

fn command_padding(node: &Node) -> Check {
    ignores(node, b"ping\0garbage", &random().to_le_bytes())
}

fn command_unprintable(node: &Node) -> Check {
    ignores(node, b"pi\x7fng", &random().to_le_bytes())
}

fn command_empty(node: &Node) -> Check {
    ignores(node, b"", b"any content")
}

fn payload_longest(node: &Node) -> Check {
    if node.max_payload > MAX_SENT_PAYLOAD {
        return Finding::skipped(format!("{} bytes are too many to send", node.max_payload));
    }
    ignores(node, b"foobar", &vec![0x55; node.max_payload as usize])
}

fn payload_truncated(node: &Node) -> Check {
    rejects_getdata(node, &[1, 2, 0, 0, 0])
}

fn payload_extra_bytes(node: &Node) -> Check {
    let missing = vec![Inventory::Tx(unknown_tx())];
    let mut payload = GetData::from(missing.clone()).encode_to_vec();
    payload.extend_from_slice(&[0xaa; 50]);
    let mut probe = node.handshake()?;
    probe.send_payload("getdata", &payload);
    let expected = Message::from(NotFound::from(missing));
    probe.answer("notfound", |message| {
        (*message == expected).then(|| "notfound".into())
    })
}

fn size_not_canonical(node: &Node) -> Check {
    let entry = Inventory::Block(unknown_block()).to_bytes();
    rejects_getdata(node, &[&[0xfd, 1, 0], &entry[..]].concat())
}

fn size_too_large(node: &Node) -> Check {
    rejects_getdata(node, &[0xff, 0, 0, 0, 0, 1, 0, 0, 0])
}

fn extended_ping(node: &Node) -> Check {
    let extended =
        |magic, payload: &[u8]| extended_frame(magic, b"extmsg", u32::MAX, b"ping", payload);
    answers_ping(node, extended, usize::MAX)
}

fn extended_basic_length(node: &Node) -> Check {
    let extended = |magic, payload: &[u8]| extended_frame(magic, b"extmsg", 7, b"ping", payload);
    answers_ping(node, extended, usize::MAX)
}

fn extended_longer_name(node: &Node) -> Check {
    let extended =
        |magic, payload: &[u8]| extended_frame(magic, b"extmsgXYZ", u32::MAX, b"ping", payload);
    answers_ping(node, extended, usize::MAX)
}

fn extended_version(node: &Node) -> Check {
    let mut probe = node.open()?;
    let payload = node.own_version().encode_to_vec();
    let frame = extended_frame(probe.magic(), b"extmsg", u32::MAX, b"version", &payload);
    probe.send_bytes(&frame);
    probe.expect_version()?;
    probe.complete(Some(protoconf()))?;
    Ok("handshake complete".into())
}

fn payload_too_long(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let len = node.max_payload.saturating_add(1);
    let header = header(probe.magic(), b"foobar", len, &[0; 4]);
    probe.send_bytes(&header);
    probe.closes()
}

fn magic_mismatched(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let ping = Ping::new(random()).encode_to_vec();
    probe.send_bytes(&frame(Magic([0xf9, 0xbe, 0xb4, 0xd9]), b"ping", &ping));
    probe.closes()
}

/// Checks that a message is ignored.
fn ignores(node: &Node, command: &[u8], payload: &[u8]) -> Check {
    let mut probe = node.handshake()?;
    probe.send_bytes(&frame(probe.magic(), command, payload));
    probe.stays_silent()
}

fn rejects_getdata(node: &Node, payload: &[u8]) -> Check {
    let mut probe = node.handshake()?;
    probe.send_payload("getdata", payload);
    probe.rejects("getdata", RejectCode::MALFORMED, "")
}

/// Checks that a ping in this frame, written in pieces of this length, is answered.
fn answers_ping(node: &Node, framed: impl Fn(Magic, &[u8]) -> Vec<u8>, piece: usize) -> Check {
    let mut probe: Probe = node.handshake()?;
    let nonce = random();
    let bytes = framed(probe.magic(), &nonce.to_le_bytes());
    for piece in bytes.chunks(piece) {
        probe.send_bytes(piece);
    }
    let pong = Message::from(Pong::new(nonce));
    probe.wait_for("pong", |message| (*message == pong).then(|| "pong".into()))
}

/// The maximum length of a payload that is sent, in bytes.
const MAX_SENT_PAYLOAD: u32 = 16 * 1024 * 1024;
