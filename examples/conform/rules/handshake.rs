//! `version` and `verack`.

use bsv_p2p::wire::{Encode, Message, Ping, RejectCode, Version};

use super::{RULE, SILENT, teranode};
use crate::finding::{Check, Finding};
use crate::messages::{describe_all, random};
use crate::node::{Node, protoconf};
use crate::rule::{Bans, Rule};

const ACCEPTED: &str = "handshake complete";

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "version-answered",
        text: "a node answers version with version and verack, in this order",
        expected: "version, verack",
        check: version_answered,
        ..RULE
    },
    Rule {
        id: "version-complete",
        text: "the version of a node has all fields up to the association ID, and a user agent",
        expected: "all fields, protocol version at least 70016",
        differences: &[teranode(
            "Teranode sends no association ID if it has no streams",
        )],
        check: version_complete,
        ..RULE
    },
    Rule {
        id: "verack-completes",
        text: "the handshake is complete with the verack of the peer, without its protoconf",
        expected: "an answer to a request",
        check: verack_completes,
        ..RULE
    },
    Rule {
        id: "features-by-version",
        text: "a node sends sendheaders to peers from version 70012 on, sendcmpct from 70014 on",
        source: "BIP 130; BIP 152; SV Node 1.2.2, src/version.h",
        expected: "neither to 70011, sendheaders to 70012, both to 70014",
        differences: &[teranode("Teranode sends neither of them")],
        check: features_by_version,
        ..RULE
    },
    Rule {
        id: "version-shortest",
        text: "a version that ends after the receiver's address is accepted",
        expected: ACCEPTED,
        bans: Bans::Teranode,
        differences: &[teranode("Teranode requires a user agent with BSV in it")],
        check: version_shortest,
        ..RULE
    },
    Rule {
        id: "version-without-relay",
        text: "a version that ends after the start height is accepted",
        expected: ACCEPTED,
        check: version_without_relay,
        ..RULE
    },
    Rule {
        id: "version-extra-bytes",
        text: "bytes after the association ID of a version are ignored",
        expected: ACCEPTED,
        check: version_extra_bytes,
        ..RULE
    },
    Rule {
        id: "version-truncated",
        text: "a version without the receiver's address is rejected",
        expected: "reject version 0x60, close",
        differences: &[teranode(
            "Teranode closes the connection without this reject",
        )],
        check: version_truncated,
        ..RULE
    },
    Rule {
        id: "version-oldest",
        text: "protocol version 31800 is accepted",
        source: "SV Node 1.2.2, src/version.h",
        expected: "version, verack",
        check: version_oldest,
        ..RULE
    },
    Rule {
        id: "version-obsolete",
        text: "a protocol version below 31800 is rejected",
        source: "SV Node 1.2.2, src/version.h",
        expected: "reject version 0x11 \"Version must be 31800 or greater\", close",
        differences: &[teranode("Teranode accepts versions from 209 on")],
        check: version_obsolete,
        ..RULE
    },
    Rule {
        id: "version-newer",
        text: "a protocol version above that of the node is accepted",
        expected: ACCEPTED,
        check: version_newer,
        ..RULE
    },
    Rule {
        id: "version-height-unknown",
        text: "start height -1 is accepted",
        expected: ACCEPTED,
        check: version_height_unknown,
        ..RULE
    },
    Rule {
        id: "version-second",
        text: "a second version is rejected, and the connection stays open",
        expected: "reject version 0x12 \"Duplicate version message\", connection open",
        differences: &[teranode("Teranode rejects it and closes the connection")],
        check: version_second,
        ..RULE
    },
    Rule {
        id: "user-agent-longest",
        text: "a user agent of 256 bytes is accepted",
        expected: ACCEPTED,
        check: user_agent_longest,
        ..RULE
    },
    Rule {
        id: "user-agent-too-long",
        text: "a user agent of 257 bytes is rejected",
        expected: "reject version 0x60, close",
        differences: &[teranode(
            "Teranode closes the connection without this reject",
        )],
        check: user_agent_too_long,
        ..RULE
    },
    Rule {
        id: "user-agent-empty",
        text: "an empty user agent is accepted",
        expected: ACCEPTED,
        bans: Bans::Teranode,
        differences: &[teranode("Teranode requires a user agent with BSV in it")],
        check: user_agent_empty,
        ..RULE
    },
    Rule {
        id: "nonce-of-inbound",
        text: "the nonce of a version that the node sent to an inbound peer is no sign of a self-connection",
        expected: ACCEPTED,
        differences: &[teranode(
            "Teranode closes a connection with one of its last 50 nonces",
        )],
        check: nonce_of_inbound,
        ..RULE
    },
    Rule {
        id: "early-before-version",
        text: "a message before version is dropped",
        expected: "no pong for it, handshake complete after it",
        differences: &[teranode("Teranode rejects it and closes the connection")],
        check: early_before_version,
        ..RULE
    },
    Rule {
        id: "early-before-verack",
        text: "a message between version and verack is dropped",
        expected: "no pong for it, handshake complete after it",
        differences: &[teranode("Teranode may answer it")],
        check: early_before_verack,
        ..RULE
    },
    Rule {
        id: "verack-repeated",
        text: "a second verack does not end the connection",
        expected: SILENT,
        differences: &[teranode("Teranode closes the connection")],
        check: verack_repeated,
        ..RULE
    },
    Rule {
        id: "user-agent-banned",
        text: "a user agent of another chain, such as one with cash in it, gets the address banned",
        source: "SV Node 1.2.2, option -banclientua",
        expected: "close",
        bans: Bans::ByScore,
        check: user_agent_banned,
        ..RULE
    },
];

fn version_answered(node: &Node) -> Check {
    let mut probe = node.open()?;
    probe.send(node.own_version());
    let mut answers = Vec::new();
    while answers.len() < 2 {
        match probe.receive()? {
            Some(message) => answers.push(message),
            None => return Finding::broken(format!("{}, then close", describe_all(&answers))),
        }
    }
    match answers[..] {
        [Message::Version(_), Message::Verack] => Ok(describe_all(&answers)),
        _ => Finding::broken(describe_all(&answers)),
    }
}

fn version_complete(node: &Node) -> Check {
    let version = &node.version;
    let mut missing = Vec::new();
    for (name, is_there) in [
        ("sender", version.sender.is_some()),
        ("nonce", version.nonce.is_some_and(|nonce| nonce != 0)),
        ("user agent", !node.user_agent().is_empty()),
        ("start height", version.start_height.is_some()),
        ("relay", version.relay.is_some()),
        ("association ID", version.association_id.is_some()),
    ] {
        if !is_there {
            missing.push(name);
        }
    }
    if version.version < 70_016 {
        return Finding::broken(format!("protocol version {}", version.version));
    }
    match missing[..] {
        [] => Ok(format!("all fields, protocol version {}", version.version)),
        _ => Finding::broken(format!("no {}", missing.join(", no "))),
    }
}

fn verack_completes(node: &Node) -> Check {
    node.handshake_as(node.own_version(), None)?;
    Ok("notfound for an unknown transaction".into())
}

fn features_by_version(node: &Node) -> Check {
    let mut received = Vec::new();
    for (number, wanted) in [
        (70_011, [false, false]),
        (70_012, [true, false]),
        (70_014, [true, true]),
    ] {
        let probe = node.handshake_as(
            with(node, |version| version.version = number),
            Some(protoconf()),
        )?;
        let greeting = probe.greeting.iter();
        let headers = greeting
            .clone()
            .any(|message| *message == Message::SendHeaders);
        let compact = greeting
            .clone()
            .any(|message| matches!(message, Message::SendCmpct(_)));
        let words = match [headers, compact] {
            [false, false] => "neither",
            [true, false] => "sendheaders",
            [false, true] => "sendcmpct",
            [true, true] => "both",
        };
        received.push(format!("{words} to {number}"));
        if wanted != [headers, compact] {
            return Finding::broken(received.join(", "));
        }
    }
    Ok(received.join(", "))
}

fn version_shortest(node: &Node) -> Check {
    let shortest = with(node, |version| {
        version.sender = None;
        version.nonce = None;
        version.user_agent = None;
        version.start_height = None;
        version.relay = None;
    });
    accepts(node, shortest)
}

fn version_without_relay(node: &Node) -> Check {
    accepts(node, with(node, |version| version.relay = None))
}

fn version_extra_bytes(node: &Node) -> Check {
    let mut payload = node.own_version().encode_to_vec();
    payload.push(0);
    payload.extend_from_slice(&[0x55; 32]);
    accepts_payload(node, &payload)
}

fn version_truncated(node: &Node) -> Check {
    rejects_payload(node, &node.own_version().encode_to_vec()[..45])
}

fn version_oldest(node: &Node) -> Check {
    let mut probe = node.open()?;
    probe.exchange_versions(with(node, |version| version.version = 31_800))?;
    Ok("version, verack".into())
}

fn version_obsolete(node: &Node) -> Check {
    let mut probe = node.open()?;
    probe.send(with(node, |version| version.version = 31_799));
    probe.rejects_and_closes(
        "version",
        RejectCode::OBSOLETE,
        "Version must be 31800 or greater",
    )
}

fn version_newer(node: &Node) -> Check {
    accepts(node, with(node, |version| version.version = i32::MAX))
}

fn version_height_unknown(node: &Node) -> Check {
    accepts(node, with(node, |version| version.start_height = Some(-1)))
}

fn version_second(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(node.own_version());
    probe.rejects(
        "version",
        RejectCode::DUPLICATE,
        "Duplicate version message",
    )
}

fn user_agent_longest(node: &Node) -> Check {
    accepts(node, with_user_agent(node, 256))
}

fn user_agent_too_long(node: &Node) -> Check {
    rejects_payload(node, &with_user_agent(node, 257).encode_to_vec())
}

fn user_agent_empty(node: &Node) -> Check {
    accepts(
        node,
        with(node, |version| version.user_agent = Some("".into())),
    )
}

fn user_agent_banned(node: &Node) -> Check {
    let mut probe = node.open()?;
    probe.send(with(node, |version| {
        version.user_agent = Some("/cash:1.0/".into())
    }));
    probe.closes()
}

fn nonce_of_inbound(node: &Node) -> Check {
    let first = node.handshake()?;
    let nonce = first.version.as_ref().and_then(|version| version.nonce);
    accepts(node, with(node, |version| version.nonce = nonce))
}

fn early_before_version(node: &Node) -> Check {
    let mut probe = node.open()?;
    probe.send(Ping::new(random()));
    probe.send(node.own_version());
    dropped_before(probe.until(|message| matches!(message, Message::Version(_)))?)?;
    probe.wait_for("verack", |message| {
        (*message == Message::Verack).then_some(())
    })?;
    probe.complete(Some(protoconf()))?;
    dropped_before(probe.greeting)
}

fn early_before_verack(node: &Node) -> Check {
    let mut probe = node.open()?;
    probe.exchange_versions(node.own_version())?;
    probe.send(Ping::new(random()));
    probe.complete(Some(protoconf()))?;
    dropped_before(probe.greeting)
}

/// Checks that an early ping was not answered by one of these messages.
fn dropped_before(messages: Vec<Message>) -> Check {
    match messages
        .iter()
        .any(|message| matches!(message, Message::Pong(_)))
    {
        true => Finding::broken("pong"),
        false => Ok("no pong for it, handshake complete after it".into()),
    }
}

fn verack_repeated(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(Message::Verack);
    probe.stays_silent()
}

fn accepts(node: &Node, version: Version) -> Check {
    node.handshake_as(version, Some(protoconf()))?;
    Ok(ACCEPTED.into())
}

fn accepts_payload(node: &Node, payload: &[u8]) -> Check {
    let mut probe = node.open()?;
    probe.send_payload("version", payload);
    probe.expect_version()?;
    probe.complete(Some(protoconf()))?;
    Ok(ACCEPTED.into())
}

fn rejects_payload(node: &Node, payload: &[u8]) -> Check {
    let mut probe = node.open()?;
    probe.send_payload("version", payload);
    probe.rejects_and_closes("version", RejectCode::STREAM_SETUP, "")
}

fn with(node: &Node, change: impl FnOnce(&mut Version)) -> Version {
    let mut version = node.own_version();
    change(&mut version);
    version
}

/// Returns a `version` with a user agent of this length.
fn with_user_agent(node: &Node, len: usize) -> Version {
    with(node, |version| {
        let own = version.user_agent.take().unwrap_or_default();
        let filler = "x".repeat(len.saturating_sub(own.len()));
        version.user_agent = Some(format!("{own}{filler}").into());
    })
}
