//! Allowed effects of a fault: ends and messages.
//!
//! A side ends directly if it sees the fault itself, and indirectly if it sees the end of the other
//! side.

use bsv_p2p::wire::{Command, Message};

use crate::fault_proxy::{FaultKind, Place, Strike};
use crate::side::{Story, name};

/// The role of a side relative to the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The struck bytes were on their way to this side.
    Receiver,
    /// This side sent the struck bytes.
    Sender,
}

/// Returns the possible direct ends, before and after the handshake.
///
/// Timeouts are those of waits that the fault prolongs.
///
/// | fault | receiver | sender |
/// | --- | --- | --- |
/// | reset | reset | reset |
/// | truncation | closed, or reset if it was sending | like the receiver |
/// | half-close | closed | |
/// | stall | timeout: handshake, pong, idle, payload | timeout: handshake, pong, write |
/// | flip in the magic | wrong magic | |
/// | flip in the command | frame of another name: lost, or too long | timeout of a response |
/// | flip in the length | invalid start of a frame, or timeout of a payload | same timeouts |
/// | flip in checksum or payload | lost frame: timeout for it | timeout of a response |
/// | insertion, removal, duplication | like the length | same timeouts |
///
/// The frame that is lost in the handshake can be a `verack`. The sender, whose own handshake is
/// complete, may then send frames that are too long before the handshake.
fn first_hand(strike: &Strike, role: Role, handshaken: bool) -> Vec<&'static str> {
    use FaultKind::*;
    let waits: &[_] = if handshaken {
        &["PingTimeout"]
    } else {
        &["HandshakeTimeout"]
    };
    let closed: &[_] = if handshaken {
        &["ConnectionClosed"]
    } else {
        &["ClosedDuringHandshake"]
    };
    let reset: &[_] = if handshaken {
        &["ConnectionReset"]
    } else {
        &["ClosedDuringHandshake"]
    };
    let too_long: &[_] = &["FrameTooLarge"];
    let anything: &[_] = &["WrongMagic", "FrameTooLarge", "ReadStall", "IdleTimeout"];
    let lists: &[&[&'static str]] = match (&strike.fault.kind, role) {
        (Latency { .. } | Bandwidth { .. } | SingleBytes { .. }, _) => &[],
        (Reset, _) => &[reset],
        (Truncate, _) => &[closed, reset],
        (HalfClose, Role::Receiver) => &[closed],
        (HalfClose, Role::Sender) => &[],
        (Stall, Role::Receiver) if strike.place == Place::Payload => {
            &[waits, &["IdleTimeout", "ReadStall"]]
        }
        (Stall, Role::Receiver) => &[waits, &["IdleTimeout"]],
        (Stall, Role::Sender) => &[waits, &["SlowReader"]],
        (Flip { .. }, Role::Receiver) => match strike.place {
            Place::Magic => &[&["WrongMagic"]],
            Place::Command => &[waits, too_long],
            Place::Length => &[waits, anything],
            Place::Checksum | Place::Payload if handshaken => &[waits],
            Place::Checksum | Place::Payload => &[waits, too_long],
        },
        (Duplicate { .. }, Role::Receiver) => &[waits, anything, &["DuplicateProtoconf"]],
        (Insert { .. } | Remove { .. }, Role::Receiver) => &[waits, anything],
        (Flip { .. } | Duplicate { .. } | Insert { .. } | Remove { .. }, Role::Sender) => &[waits],
    };
    lists.concat()
}

/// Returns the appearance of the end of the other side.
fn second_hand(strike: Option<&Strike>, handshaken: bool) -> &'static [&'static str] {
    let refusal =
        strike.is_some_and(|strike| matches!(strike.fault.kind, FaultKind::Duplicate { .. }));
    match handshaken {
        true => &["ConnectionClosed", "ConnectionReset"],
        // A duplicate `version` is answered with a `reject`, which explains the following close.
        false if refusal => &["ClosedDuringHandshake", "RejectedByPeer"],
        false => &["ClosedDuringHandshake"],
    }
}

/// Checks that an end can be caused by the fault, or by the end of the other side. Returns whether
/// it can be direct.
pub(crate) fn check_end(
    strike: Option<&Strike>,
    role: Role,
    story: &Story,
    commanded: bool,
) -> bool {
    let end = name(story.end.as_ref().expect("an end"));
    let end = end.as_str();
    let mut first = strike.map_or(Vec::new(), |strike| {
        first_hand(strike, role, story.handshaken)
    });
    if commanded {
        first.push("Requested");
    }
    let second = second_hand(strike, story.handshaken);
    assert!(
        first.contains(&end) || second.contains(&end),
        "the {role:?} ended with {end}, which {strike:?} cannot bring: {first:?}, {second:?}; {}",
        story.summary()
    );
    first.contains(&end)
}

/// Checks the received messages against the sent ones: none is altered, invented or reordered, and
/// only an allowed number is missing.
///
/// `toward` is the fault on the way of these messages, `back` the fault on the way of their
/// responses.
pub(crate) fn check_messages(
    story: &Story,
    sent: &[Message],
    toward: Option<&Strike>,
    back: Option<&Strike>,
) {
    let corrupts =
        |strike: Option<&Strike>| strike.is_some_and(|strike| strike.fault.kind.corrupts());
    // The first message of the session.
    let expected: Vec<_> = [Message::SendHeaders]
        .into_iter()
        .chain(sent.iter().cloned())
        .collect();
    // Corrupt frames are answered with rejects.
    let rejected = |message: &Message| corrupts(back) && matches!(message, Message::Reject(_));
    let messages: Vec<_> = story
        .messages
        .iter()
        .filter(|message| !rejected(message))
        .collect();
    if !corrupts(toward) {
        for (at, (got, expected)) in messages.iter().zip(&expected).enumerate() {
            let commands = (got.command(), expected.command());
            assert!(
                *got == expected,
                "message {at} is not what was sent: {commands:?}"
            );
        }
        assert!(messages.len() <= expected.len(), "more came than was sent");
        return;
    }
    let strike = toward.expect("it corrupts");
    let (mut next, mut missing, mut twice) = (0, 0, 0);
    for (at, got) in messages.iter().enumerate() {
        let found = expected[next..]
            .iter()
            .position(|expected| is_same(got, expected, strike));
        match found {
            Some(ahead) => {
                missing += ahead;
                next += ahead + 1;
            }
            None if is_renamed(got, strike) => missing += 1,
            // A whole frame may arrive twice.
            None => {
                let before = expected[..next].iter().any(|expected| *got == expected);
                assert!(before, "message {at} was never sent: {:?}", got.command());
                twice += 1;
            }
        }
    }
    match strike.fault.kind {
        FaultKind::Flip { .. } => {
            assert!(
                strike.place == Place::Length || missing <= 1,
                "one bit cost {missing} messages"
            );
            assert_eq!(twice, 0, "came twice");
        }
        FaultKind::Insert { .. } | FaultKind::Remove { .. } => assert_eq!(twice, 0, "came twice"),
        _ => {}
    }
}

/// Returns whether a message is the sent one. Its command is not covered by the checksum, and all
/// else must be equal.
pub(crate) fn is_same(got: &Message, sent: &Message, strike: &Strike) -> bool {
    if got == sent {
        return true;
    }
    let Message::Unknown { payload, .. } = got else {
        return false;
    };
    let mut bytes = Vec::new();
    bsv_p2p::wire::Encode::encode(sent, &mut bytes);
    strike.place == Place::Command && *payload == bytes
}

/// Returns whether it is a message of the session with a changed command. Such messages are not
/// delivered.
pub(crate) fn is_renamed(got: &Message, strike: &Strike) -> bool {
    let name = got.command().to_bytes();
    let differs_by_a_bit = |own: &&str| {
        let own = Command::new(own).to_bytes();
        let bits = own.iter().zip(name).map(|(a, b)| (a ^ b).count_ones());
        bits.sum::<u32>() == 1
    };
    let flipped = matches!(strike.fault.kind, FaultKind::Flip { .. });
    flipped
        && strike.place == Place::Command
        && ["ping", "pong", "protoconf"].iter().any(differs_by_a_bit)
}
