//! Which ends a fault may bring, and which messages.
//!
//! A side ends at first hand if it sees the fault itself, and at second hand if it sees the other side's end.

use bsv_p2p::wire::{Command, Message};

use crate::fault_proxy::{FaultKind, Place, Strike};
use crate::side::{Story, name};

/// Where a side stands to the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The bytes that were struck were on their way to it.
    Receiver,
    /// It has sent them.
    Sender,
}

/// The ends at first hand, before and after the handshake. Timeouts are those of waits that the fault makes longer.
///
/// | fault | receiver | sender |
/// | --- | --- | --- |
/// | reset | is reset | is reset |
/// | truncation | is closed, or reset if it was sending | the same |
/// | half-close | is closed | |
/// | stall | waits: for the handshake, a pong, anything, the rest of a payload | waits: for the handshake, a pong, room |
/// | bit flip in the magic | wrong magic | |
/// | in the command | a frame of another name: one is lost, or is too long for its new name | waits for an answer to it |
/// | in the length | anything that a wrong beginning of a frame can be, or waits for a payload that nobody sends | the same waits |
/// | in checksum or payload | one frame is lost: waits for it | waits for an answer to it |
/// | insertion, removal, duplication | as for the length | the same waits |
///
/// What is lost in the handshake may be a `verack`: the sender, whose own handshake is complete, may then send what is too
/// long before one.
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

/// What the end of the other side looks like.
fn second_hand(strike: Option<&Strike>, handshaken: bool) -> &'static [&'static str] {
    let refusal =
        strike.is_some_and(|strike| matches!(strike.fault.kind, FaultKind::Duplicate { .. }));
    match handshaken {
        true => &["ConnectionClosed", "ConnectionReset"],
        // A `version` that comes twice is answered with a `reject`, which explains the close that follows.
        false if refusal => &["ClosedDuringHandshake", "RejectedByPeer"],
        false => &["ClosedDuringHandshake"],
    }
}

/// Checks that an end is one that the fault, or the other side's end, may have brought. Returns whether it can be at first hand.
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

/// Checks what has come against what was sent: nothing altered, nothing made up, nothing in another order; and how much may
/// be missing.
///
/// `toward` is the fault on the way of these messages, `back` that on the way of the answers to them.
pub(crate) fn check_messages(
    story: &Story,
    sent: &[Message],
    toward: Option<&Strike>,
    back: Option<&Strike>,
) {
    let corrupts =
        |strike: Option<&Strike>| strike.is_some_and(|strike| strike.fault.kind.corrupts());
    // The session says this first of all.
    let expected: Vec<_> = [Message::SendHeaders]
        .into_iter()
        .chain(sent.iter().cloned())
        .collect();
    // Frames that came damaged are answered with rejects.
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
            // A whole frame may come twice.
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

/// Whether a message is the one that was sent. No checksum guards its name, nothing else may differ.
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

/// Whether it is one of the session's own messages, which are not for the program, under another name.
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
