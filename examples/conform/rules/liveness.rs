//! `ping` and `pong`.

use bsv_p2p::wire::{Message, Ping, Pong, RejectCode, encode_frame};

use super::{RULE, SILENT, teranode};
use crate::finding::{Check, Finding};
use crate::messages::random;
use crate::node::{Node, protoconf};
use crate::rule::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ping-nonce",
        text: "a ping is answered by a pong with the same nonce",
        source: "BIP 31; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: "pong with the nonce of the ping",
        check: ping_nonce,
        ..RULE
    },
    Rule {
        id: "ping-order",
        text: "pings in one segment are answered one by one, in order",
        source: "BIP 31; SV Node 1.2.2, src/net/net_processing.cpp",
        expected: "20 pongs in the order of the pings",
        check: ping_order,
        ..RULE
    },
    Rule {
        id: "ping-extra-bytes",
        text: "bytes after the nonce of a ping are ignored",
        expected: "pong with the nonce of the ping",
        differences: &[teranode(
            "Teranode rejects it as malformed and closes the connection",
        )],
        check: ping_extra_bytes,
        ..RULE
    },
    Rule {
        id: "ping-short",
        text: "a ping with a payload of less than 8 bytes is rejected as malformed",
        expected: "reject ping 0x01, connection open",
        differences: &[teranode("Teranode rejects it and closes the connection")],
        check: ping_short,
        ..RULE
    },
    Rule {
        id: "ping-old-version",
        text: "a peer of protocol version 60000 gets no pong",
        source: "BIP 31; SV Node 1.2.2, src/version.h",
        expected: SILENT,
        check: ping_old_version,
        ..RULE
    },
    Rule {
        id: "pong-unrequested",
        text: "a pong without a ping, with a wrong nonce, or without a nonce is ignored",
        expected: SILENT,
        differences: &[teranode(
            "Teranode closes the connection for the pong without a nonce",
        )],
        check: pong_unrequested,
        ..RULE
    },
];

fn ping_nonce(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let nonce = random();
    probe.send(Ping::new(nonce));
    let pong = probe.wait_for("pong", pong)?;
    match pong.nonce == Some(nonce) {
        true => Ok("pong with the nonce of the ping".into()),
        false => Finding::broken(format!("pong with nonce {:?}", pong.nonce)),
    }
}

fn ping_order(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let nonces: Vec<_> = (0..20).map(|_| random()).collect();
    let mut bytes = Vec::new();
    for nonce in &nonces {
        let ping = Message::from(Ping::new(*nonce));
        encode_frame(probe.magic(), &ping, &mut bytes);
    }
    probe.send_bytes(&bytes);
    for (answered, nonce) in nonces.iter().enumerate() {
        if probe.wait_for("pong", pong)?.nonce != Some(*nonce) {
            return Finding::broken(format!("another pong after {answered} in order"));
        }
    }
    Ok("20 pongs in the order of the pings".into())
}

fn ping_extra_bytes(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let nonce = random();
    let mut payload = nonce.to_le_bytes().to_vec();
    payload.extend_from_slice(&[0xaa; 100]);
    probe.send_payload("ping", &payload);
    let pong = probe.wait_for("pong", pong)?;
    match pong.nonce == Some(nonce) {
        true => Ok("pong with the nonce of the ping".into()),
        false => Finding::broken(format!("pong with nonce {:?}", pong.nonce)),
    }
}

fn ping_short(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send_payload("ping", &[1, 2, 3, 4]);
    probe.rejects("ping", RejectCode::MALFORMED, "")
}

fn ping_old_version(node: &Node) -> Check {
    let mut old = node.own_version();
    old.version = 60_000;
    let mut probe = node.handshake_as(old, Some(protoconf()))?;
    probe.send(Ping::new(random()));
    probe.stays_silent()
}

fn pong_unrequested(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(Pong::new(random()));
    probe.send(Pong { nonce: None });
    probe.stays_silent()
}

fn pong(message: &Message) -> Option<Pong> {
    match message {
        Message::Pong(pong) => Some(*pong),
        _ => None,
    }
}
