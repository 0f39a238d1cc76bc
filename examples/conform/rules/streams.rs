//! Associations of several TCP connections: the association ID in `version`, `createstrm` and `streamack`.

use bsv_p2p::wire::{
    AssociationId, CreateStrm, Encode, Message, Ping, Pong, RejectCode, StreamAck, StreamType,
    Version,
};
use uuid::Uuid;

use super::{RULE, teranode};
use crate::finding::{Check, Finding};
use crate::messages::random;
use crate::node::{Node, protoconf};
use crate::probe::Probe;
use crate::rule::{Difference, Rule};

const SOURCE: &str = "SV Node 1.2.2, src/net/association*.cpp and src/net/stream*.cpp";

const NO_STREAMS: &[Difference] = &[teranode(
    "Teranode has further streams only if legacy_allowBlockPriority is set, and closes without a reject",
)];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "association-echoed",
        text: "a node echoes the association ID of a version, or sends an empty one to decline further streams",
        source: SOURCE,
        expected: "the same association ID, or an empty one",
        differences: NO_STREAMS,
        check: association_echoed,
        ..RULE
    },
    Rule {
        id: "association-declined",
        text: "a version without an association ID is answered by one with an empty association ID",
        source: SOURCE,
        expected: "empty association ID",
        differences: NO_STREAMS,
        check: association_declined,
        ..RULE
    },
    Rule {
        id: "association-empty",
        text: "association IDs of 0 and of 1 bytes are empty ones",
        source: SOURCE,
        expected: "empty association ID",
        differences: NO_STREAMS,
        check: association_empty,
        ..RULE
    },
    Rule {
        id: "association-unknown-type",
        text: "an association ID of another type than 0 is rejected",
        source: SOURCE,
        expected: "reject version 0x60 \"Badly formatted association ID\", close",
        differences: NO_STREAMS,
        check: association_unknown_type,
        ..RULE
    },
    Rule {
        id: "association-short",
        text: "an association ID of type 0 that is no UUID is rejected",
        source: SOURCE,
        expected: "reject version 0x60 \"Badly formatted association ID\", close",
        differences: NO_STREAMS,
        check: association_short,
        ..RULE
    },
    Rule {
        id: "createstrm-data1",
        text: "createstrm for DATA1 is acknowledged with its association ID and type",
        source: SOURCE,
        expected: "streamack",
        differences: NO_STREAMS,
        check: createstrm_data1,
        ..RULE
    },
    Rule {
        id: "createstrm-data2-to-data4",
        text: "createstrm for DATA2 to DATA4 is acknowledged",
        source: SOURCE,
        expected: "streamack for each",
        differences: NO_STREAMS,
        check: createstrm_data2_to_data4,
        ..RULE
    },
    Rule {
        id: "createstrm-no-policy",
        text: "createstrm without a policy leaves the policy unchanged",
        source: SOURCE,
        expected: "streamack",
        differences: NO_STREAMS,
        check: createstrm_no_policy,
        ..RULE
    },
    Rule {
        id: "stream-carries-pings",
        text: "under BlockPriority a ping on DATA1 is answered on DATA1",
        source: SOURCE,
        expected: "pong on DATA1",
        differences: NO_STREAMS,
        check: stream_carries_pings,
        ..RULE
    },
    Rule {
        id: "stream-ends-association",
        text: "the end of one stream ends all streams of the association",
        source: SOURCE,
        expected: "close of the first connection",
        differences: NO_STREAMS,
        check: stream_ends_association,
        ..RULE
    },
    Rule {
        id: "createstrm-duplicate",
        text: "createstrm for a stream that exists is rejected",
        source: SOURCE,
        expected: "reject createstrm 0x60 \"Attempt to overwrite existing stream in move\", close",
        differences: NO_STREAMS,
        check: createstrm_duplicate,
        ..RULE
    },
    Rule {
        id: "createstrm-unknown-id",
        text: "createstrm with an unknown association ID is rejected",
        source: SOURCE,
        expected: "reject createstrm 0x60 \"No node found with association ID\", close",
        differences: NO_STREAMS,
        check: createstrm_unknown_id,
        ..RULE
    },
    Rule {
        id: "createstrm-empty-id",
        text: "createstrm with an empty association ID is rejected",
        source: SOURCE,
        expected: "reject createstrm 0x60 \"NULL association ID\", close",
        differences: NO_STREAMS,
        check: createstrm_empty_id,
        ..RULE
    },
    Rule {
        id: "createstrm-invalid-type",
        text: "createstrm with a stream type above 5 is rejected",
        source: SOURCE,
        expected: "reject createstrm 0x60 \"StreamType out of range\", close",
        differences: NO_STREAMS,
        check: createstrm_invalid_type,
        ..RULE
    },
    Rule {
        id: "createstrm-unknown-policy",
        text: "createstrm with an unknown policy is rejected",
        source: SOURCE,
        expected: "reject createstrm 0x60 \"Unknown stream policy name\", close",
        differences: NO_STREAMS,
        check: createstrm_unknown_policy,
        ..RULE
    },
    Rule {
        id: "createstrm-truncated",
        text: "createstrm that ends inside a field is rejected",
        source: SOURCE,
        expected: "reject createstrm 0x60 \"Badly formatted message\", close",
        differences: NO_STREAMS,
        check: createstrm_truncated,
        ..RULE
    },
    Rule {
        id: "createstrm-after-version",
        text: "createstrm after version is rejected",
        expected: "reject createstrm 0x40 \"Invalid createstream scenario\", close",
        differences: NO_STREAMS,
        check: createstrm_after_version,
        ..RULE
    },
    Rule {
        id: "streamack-first",
        text: "streamack as the first message ends the connection",
        expected: "close",
        differences: NO_STREAMS,
        check: streamack_first,
        ..RULE
    },
    Rule {
        id: "streamack-after-version",
        text: "streamack after version is rejected",
        expected: "reject streamack 0x40 \"Invalid streamack\", close",
        differences: NO_STREAMS,
        check: streamack_after_version,
        ..RULE
    },
];

fn association_echoed(node: &Node) -> Check {
    let id = new_id();
    let probe = node.handshake_as(with_id(node, id), Some(protoconf()))?;
    match association_of(&probe) {
        Some(echo) if echo == id => Ok("the same association ID".into()),
        Some(AssociationId::Null) => Ok("an empty association ID".into()),
        Some(AssociationId::Uuid(_)) => Finding::broken("another association ID"),
        None => Finding::broken("no association ID"),
    }
}

fn association_declined(node: &Node) -> Check {
    is_empty(&node.handshake()?)
}

fn association_empty(node: &Node) -> Check {
    is_empty(&node.handshake_as(with_id(node, AssociationId::Null), Some(protoconf()))?)?;
    let mut probe = node.open()?;
    probe.send_payload("version", &payload_with_id(node, &[1, 0]));
    probe.expect_version()?;
    probe.complete(Some(protoconf()))?;
    is_empty(&probe)
}

fn association_unknown_type(node: &Node) -> Check {
    let mut id = vec![17, 1];
    id.extend_from_slice(Uuid::new_v4().as_bytes());
    rejects_id(node, &id)
}

fn association_short(node: &Node) -> Check {
    let mut id = vec![16, 0];
    id.extend_from_slice(&Uuid::new_v4().as_bytes()[1..]);
    rejects_id(node, &id)
}

fn createstrm_data1(node: &Node) -> Check {
    let (_first, id) = association(node)?;
    open_stream(node, id, StreamType::Data1, "BlockPriority")?;
    Ok("streamack".into())
}

fn createstrm_data2_to_data4(node: &Node) -> Check {
    let (_first, id) = association(node)?;
    let mut streams = Vec::new();
    for kind in [StreamType::Data2, StreamType::Data3, StreamType::Data4] {
        streams.push(open_stream(node, id, kind, "BlockPriority")?);
    }
    Ok("streamack for each".into())
}

fn createstrm_no_policy(node: &Node) -> Check {
    let (_first, id) = association(node)?;
    open_stream(node, id, StreamType::Data1, "")?;
    Ok("streamack".into())
}

fn stream_carries_pings(node: &Node) -> Check {
    let (_first, id) = association(node)?;
    let mut stream = open_stream(node, id, StreamType::Data1, "BlockPriority")?;
    let nonce = random();
    stream.send(Ping::new(nonce));
    let pong = Message::from(Pong::new(nonce));
    stream.wait_for("pong on DATA1", |message| {
        (*message == pong).then(|| "pong on DATA1".into())
    })
}

fn stream_ends_association(node: &Node) -> Check {
    let (mut first, id) = association(node)?;
    let stream = open_stream(node, id, StreamType::Data1, "BlockPriority")?;
    drop(stream);
    first.ends()
}

fn createstrm_duplicate(node: &Node) -> Check {
    let (_first, id) = association(node)?;
    let _stream = open_stream(node, id, StreamType::Data1, "BlockPriority")?;
    let request = createstrm(id, StreamType::Data1, "BlockPriority");
    rejects(
        node,
        &request.encode_to_vec(),
        "Attempt to overwrite existing stream in move",
    )
}

fn createstrm_unknown_id(node: &Node) -> Check {
    let request = createstrm(new_id(), StreamType::Data1, "BlockPriority");
    rejects(
        node,
        &request.encode_to_vec(),
        "No node found with association ID",
    )
}

fn createstrm_empty_id(node: &Node) -> Check {
    let request = createstrm(AssociationId::Null, StreamType::Data1, "BlockPriority");
    rejects(node, &request.encode_to_vec(), "NULL association ID")
}

fn createstrm_invalid_type(node: &Node) -> Check {
    let (_first, id) = association(node)?;
    let mut payload = createstrm(id, StreamType::Data1, "BlockPriority").encode_to_vec();
    payload[18] = 6;
    rejects(node, &payload, "StreamType out of range")
}

fn createstrm_unknown_policy(node: &Node) -> Check {
    let (_first, id) = association(node)?;
    let request = createstrm(id, StreamType::Data1, "Unheard");
    rejects(node, &request.encode_to_vec(), "Unknown stream policy name")
}

fn createstrm_truncated(node: &Node) -> Check {
    let payload = createstrm(new_id(), StreamType::Data1, "BlockPriority").encode_to_vec();
    rejects(node, &payload[..10], "Badly formatted message")
}

fn createstrm_after_version(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(createstrm(new_id(), StreamType::Data1, "BlockPriority"));
    probe.rejects_and_closes(
        "createstrm",
        RejectCode::NONSTANDARD,
        "Invalid createstream scenario",
    )
}

fn streamack_first(node: &Node) -> Check {
    let mut probe = node.open()?;
    probe.send(streamack(new_id(), StreamType::Data1));
    probe.closes()
}

fn streamack_after_version(node: &Node) -> Check {
    let mut probe = node.handshake()?;
    probe.send(streamack(new_id(), StreamType::Data1));
    probe.rejects_and_closes("streamack", RejectCode::NONSTANDARD, "Invalid streamack")
}

/// Opens the first connection of an association.
fn association(node: &Node) -> Result<(Probe, AssociationId), Finding> {
    let id = new_id();
    let probe = node.handshake_as(with_id(node, id), Some(protoconf()))?;
    match association_of(&probe) {
        Some(echo) if echo == id => Ok((probe, id)),
        _ => Finding::skipped("node declines further streams"),
    }
}

/// Opens a further connection of an association.
fn open_stream(
    node: &Node,
    id: AssociationId,
    kind: StreamType,
    policy: &str,
) -> Result<Probe, Finding> {
    let mut probe = node.open()?;
    probe.send(createstrm(id, kind, policy));
    let ack = streamack(id, kind);
    probe.wait_for("streamack", |message| (*message == ack).then_some(()))?;
    Ok(probe)
}

/// Checks that a `createstrm` as the first message is rejected.
fn rejects(node: &Node, payload: &[u8], reason: &str) -> Check {
    let mut probe = node.open()?;
    probe.send_payload("createstrm", payload);
    probe.rejects_and_closes("createstrm", RejectCode::STREAM_SETUP, reason)
}

/// Checks that a `version` with these bytes as association ID is rejected.
fn rejects_id(node: &Node, id: &[u8]) -> Check {
    let mut probe = node.open()?;
    probe.send_payload("version", &payload_with_id(node, id));
    probe.rejects_and_closes(
        "version",
        RejectCode::STREAM_SETUP,
        "Badly formatted association ID",
    )
}

fn is_empty(probe: &Probe) -> Check {
    match association_of(probe) {
        Some(AssociationId::Null) => Ok("empty association ID".into()),
        Some(AssociationId::Uuid(_)) => Finding::broken("an association ID"),
        None => Finding::broken("no association ID"),
    }
}

fn association_of(probe: &Probe) -> Option<AssociationId> {
    probe
        .version
        .as_ref()
        .and_then(|version| version.association_id)
}

fn new_id() -> AssociationId {
    AssociationId::Uuid(Uuid::new_v4())
}

fn with_id(node: &Node, id: AssociationId) -> Version {
    Version {
        association_id: Some(id),
        ..node.own_version()
    }
}

fn payload_with_id(node: &Node, id: &[u8]) -> Vec<u8> {
    let mut payload = node.own_version().encode_to_vec();
    payload.extend_from_slice(id);
    payload
}

fn createstrm(id: AssociationId, kind: StreamType, policy: &str) -> CreateStrm {
    CreateStrm {
        association_id: id,
        stream_type: kind,
        stream_policy: policy.into(),
    }
}

fn streamack(id: AssociationId, kind: StreamType) -> Message {
    let ack = StreamAck {
        association_id: id,
        stream_type: kind,
    };
    ack.into()
}
