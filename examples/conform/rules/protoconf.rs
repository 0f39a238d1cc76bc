//! `protoconf`.

use bsv_p2p::wire::{Encode, LEGACY_MAX_RECEIVE_PAYLOAD, Message, Protoconf};

use super::{RULE, SILENT, teranode};
use crate::finding::{Check, Finding};
use crate::messages::header;
use crate::node::{Node, protoconf};
use crate::probe::Probe;
use crate::rule::{Bans, Difference, Rule};

const NOT_CHECKED: &[Difference] = &[teranode("Teranode does not check a received protoconf")];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "protoconf-sent",
        text: "a node sends one protoconf, with a limit of at least 1048576 bytes and the policy Default",
        expected: "one protoconf after verack",
        check: protoconf_sent,
        ..RULE
    },
    Rule {
        id: "protoconf-minimum",
        text: "a protoconf with one field and the minimum limit of 1048576 bytes is accepted",
        expected: SILENT,
        check: protoconf_minimum,
        ..RULE
    },
    Rule {
        id: "protoconf-more-fields",
        text: "fields after the second of a protoconf are ignored",
        expected: SILENT,
        check: protoconf_more_fields,
        ..RULE
    },
    Rule {
        id: "protoconf-unknown-policy",
        text: "unknown stream policies in a protoconf are ignored",
        expected: SILENT,
        check: protoconf_unknown_policy,
        ..RULE
    },
    Rule {
        id: "protoconf-before-verack",
        text: "a protoconf before verack is dropped; it may be sent again",
        expected: "handshake complete",
        differences: NOT_CHECKED,
        check: protoconf_before_verack,
        ..RULE
    },
    Rule {
        id: "protoconf-second",
        text: "a second protoconf ends the connection",
        expected: "close",
        differences: NOT_CHECKED,
        check: protoconf_second,
        ..RULE
    },
    Rule {
        id: "protoconf-below-minimum",
        text: "a protoconf with a limit below 1048576 bytes ends the connection",
        expected: "close",
        differences: NOT_CHECKED,
        check: protoconf_below_minimum,
        ..RULE
    },
    Rule {
        id: "protoconf-no-fields",
        text: "a protoconf without fields ends the connection",
        expected: "close",
        differences: NOT_CHECKED,
        check: protoconf_no_fields,
        ..RULE
    },
    Rule {
        id: "protoconf-truncated",
        text: "a protoconf that ends inside a field ends the connection",
        expected: "close",
        differences: NOT_CHECKED,
        check: protoconf_truncated,
        ..RULE
    },
    Rule {
        id: "protoconf-too-long",
        text: "a protoconf longer than 1048576 bytes ends the connection and gets the address banned",
        source: "SV Node 1.2.2, src/protocol.cpp",
        expected: "close",
        bans: Bans::AtOnce,
        check: protoconf_too_long,
        ..RULE
    },
];

fn protoconf_sent(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    let protoconf = match probe.protoconf.take() {
        Some(protoconf) => protoconf,
        // A Teranode sends it some time after its verack.
        None => probe.wait_for("protoconf", |message| match message {
            Message::Protoconf(protoconf) => Some(protoconf.clone()),
            _ => None,
        })?,
    };
    probe.until_marker()?;
    let mut more = probe.greeting.iter();
    if more.any(|message| matches!(message, Message::Protoconf(_))) || probe.protoconf.is_some() {
        return Finding::broken("two protoconf");
    }
    let policies = protoconf.stream_policies.clone().unwrap_or_default();
    let limit = protoconf.max_receive_payload;
    let received = format!("one protoconf with limit {limit} and policies {policies}");
    let has_default = protoconf.policies().any(|policy| policy == b"Default");
    match has_default && limit >= LEGACY_MAX_RECEIVE_PAYLOAD {
        true => Ok(received),
        false => Finding::broken(received),
    }
}

fn protoconf_minimum(node: &Node) -> Check {
    let mut probe = without_protoconf(node)?;
    probe.send(Protoconf {
        max_receive_payload: LEGACY_MAX_RECEIVE_PAYLOAD,
        stream_policies: None,
    });
    probe.stays_silent()
}

fn protoconf_more_fields(node: &Node) -> Check {
    let mut payload = protoconf().encode_to_vec();
    payload[0] = 3;
    payload.extend_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    let mut probe = without_protoconf(node)?;
    probe.send_payload("protoconf", &payload);
    probe.stays_silent()
}

fn protoconf_unknown_policy(node: &Node) -> Check {
    let mut probe = without_protoconf(node)?;
    probe.send(Protoconf {
        stream_policies: Some("Default,Unheard".into()),
        ..protoconf()
    });
    probe.stays_silent()
}

fn protoconf_before_verack(node: &Node) -> Check {
    let mut probe = node.open()?;
    probe.exchange_versions(node.own_version())?;
    probe.send(protoconf());
    probe.complete(Some(protoconf()))?;
    Ok("handshake complete".into())
}

fn protoconf_second(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(protoconf());
    probe.closes()
}

fn protoconf_below_minimum(node: &Node) -> Check {
    let mut probe = without_protoconf(node)?;
    probe.send(Protoconf {
        max_receive_payload: LEGACY_MAX_RECEIVE_PAYLOAD - 1,
        ..protoconf()
    });
    probe.closes()
}

fn protoconf_no_fields(node: &Node) -> Check {
    let mut probe = without_protoconf(node)?;
    probe.send_payload("protoconf", &[0]);
    probe.closes()
}

fn protoconf_truncated(node: &Node) -> Check {
    let mut probe = without_protoconf(node)?;
    probe.send_payload("protoconf", &protoconf().encode_to_vec()[..10]);
    probe.closes()
}

fn protoconf_too_long(node: &Node) -> Check {
    let mut probe = without_protoconf(node)?;
    let header = header(probe.magic(), b"protoconf", 1_048_577, &[0; 4]);
    probe.send_bytes(&header);
    probe.closes()
}

fn without_protoconf(node: &Node) -> Result<Probe, Finding> {
    node.handshake_as(node.own_version(), None)
}
