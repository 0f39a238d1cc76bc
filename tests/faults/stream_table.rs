//! Allowed effects of a fault on one of two TCP connections: the second stream, the ends, the
//! messages.

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{DisconnectReason, StreamSetupError};
use bsv_p2p::wire::{GetData, Inventory, Message, StreamPolicy, StreamType};

use crate::fault_proxy::{FaultKind, Place, Strike, Way};
use crate::side::{Second, Story};
use crate::stream_script::{is_answer, last_word_of, stream};
use crate::stream_side::{Sent, Told};
use crate::table::{is_renamed, is_same};

/// The length of the frame of a `createstrm` with a UUID and the policy `BlockPriority`.
pub(crate) const QUESTION: u64 = 24 + 18 + 1 + 14;
/// The length of the frame of its `streamack`.
const ANSWER: u64 = 24 + 18 + 1;

/// The part of the streams that the fault struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Nothing,
    /// The first connection.
    General,
    /// The second one: its `createstrm` does not arrive, so the other side has no stream.
    Question,
    /// Its `streamack` does not arrive: one side has a stream that the other does not have.
    Answer,
    /// After the `streamack`.
    Data1,
}

impl Phase {
    pub(crate) fn of(strike: Option<&Strike>) -> Self {
        let Some(strike) = strike else {
            return Phase::Nothing;
        };
        let (len, phase) = match strike.way {
            _ if strike.connection == 0 => return Phase::General,
            Way::ToTarget => (QUESTION, Phase::Question),
            Way::ToDialer => (ANSWER, Phase::Answer),
        };
        let damaged_from = match strike.fault.kind {
            // Duplicated bytes are complete the first time.
            FaultKind::Duplicate { len } => strike.fault.at + len,
            _ => strike.fault.at,
        };
        if damaged_from < len {
            phase
        } else {
            Phase::Data1
        }
    }
}

/// Checks the events of each side about the second stream, and about the connection for it.
pub(crate) fn check_second(phase: Phase, strike: Option<&Strike>, dialer: &Told, target: &Told) {
    check_dialer(phase, strike, &dialer.story);
    check_target(phase, &target.story);
    assert_eq!(dialer.strangers, [], "one that dials has no others");
    check_strangers(phase, &target.strangers);
}

const OPENED: Second = Second::Opened(StreamPolicy::BlockPriority);

/// Checks the events of the accepting side about a second stream.
pub(crate) fn check_target(phase: Phase, story: &Story) {
    let right = match phase {
        Phase::General => true,
        Phase::Question => story.second.is_none(),
        Phase::Nothing | Phase::Answer | Phase::Data1 => story.second == Some(OPENED),
    };
    assert!(right, "{phase:?}: {}", story.summary());
}

/// Checks the events of the side that opens the second stream.
pub(crate) fn check_dialer(phase: Phase, strike: Option<&Strike>, story: &Story) {
    use StreamSetupError::{Closed, TimedOut, UnexpectedReply};
    let told = &story.second;
    let refusal = match told {
        Some(Second::Refused(refusal)) => Some(refusal),
        _ => None,
    };
    let cut = strike.is_some_and(|strike| {
        use FaultKind::{HalfClose, Reset, Truncate};
        matches!(strike.fault.kind, Reset | Truncate | HalfClose)
    });
    let right = match phase {
        Phase::Nothing => *told == Some(OPENED),
        // The end of the first connection ends the second one, whatever its state.
        Phase::General => true,
        Phase::Question => match refusal {
            Some(Closed) => true,
            Some(TimedOut { .. }) => !cut,
            // A node ends all connections of an address that it bans.
            None => told.is_none() && !cut && story.end != Some(DisconnectReason::Requested),
            _ => false,
        },
        Phase::Answer => match refusal {
            Some(Closed) => cut || story.end != Some(DisconnectReason::Requested),
            Some(TimedOut { .. } | UnexpectedReply) => !cut,
            // The first connection ended before the timeout of the `streamack`.
            None => told.is_none(),
            _ => false,
        },
        // A close after the `streamack` can be seen before it, and so can the resulting end of the
        // other side.
        Phase::Data1 => {
            let ended = told.is_none() && story.end != Some(DisconnectReason::Requested);
            *told == Some(OPENED) || (cut && (refusal == Some(&Closed) || ended))
        }
    };
    assert!(right, "{phase:?}: {}", story.summary());
}

/// Checks that the connection for a stream emits events only if it was not attached.
fn check_strangers(phase: Phase, events: &[ControlEvent]) {
    let mut peers: Vec<_> = events.iter().map(|event| event.peer()).collect();
    peers.dedup();
    let may_fail = matches!(phase, Phase::Question | Phase::General);
    let order = match events {
        [] => true,
        // The connection was closed before it was established.
        [ControlEvent::ConnectionFailed { reason, .. }] => {
            may_fail && *reason == DisconnectReason::Requested
        }
        [
            ControlEvent::ConnectionEstablished { .. },
            between @ ..,
            ControlEvent::ConnectionFailed { .. },
        ] => {
            let mut between = between.iter();
            may_fail && between.all(|event| matches!(event, ControlEvent::PeerMisbehavior { .. }))
        }
        _ => false,
    };
    assert!(order && peers.len() <= 1, "{phase:?}: {events:?}");
}

/// Checks the received messages against the sent ones. On each stream, none is altered, invented or
/// reordered. Only messages destroyed by the fault are missing.
pub(crate) fn check_messages(
    story: &Story,
    sent: &Told,
    toward: Option<&Strike>,
    back: Option<&Strike>,
) {
    let corrupts =
        |strike: Option<&Strike>| strike.is_some_and(|strike| strike.fault.kind.corrupts());
    let corrupted = toward.filter(|strike| strike.fault.kind.corrupts());
    let first = Sent::Message(Message::SendHeaders);
    let expected: Vec<_> = [&first].into_iter().chain(&sent.sent).collect();
    let mut lost = 0;
    let mut got = Vec::new();
    for message in &story.messages {
        // Corrupt frames are answered with rejects.
        let is_reject = corrupts(back) && matches!(message, Message::Reject(_));
        if is_answer(message) || is_reject {
            continue;
        }
        match expected.iter().position(|sent| sent.is(message, corrupted)) {
            Some(at) => got.push(at),
            None if corrupted.is_some_and(|strike| is_renamed(message, strike)) => lost += 1,
            None => panic!("never sent: {:?}", message.command()),
        }
    }
    // The message from which on the sender had two streams is unknown.
    let has_two = matches!(sent.story.second, Some(Second::Opened(_)));
    let earliest = if has_two { 0 } else { expected.len() };
    let holds = |two_from: usize| {
        let of = |at: usize| match at < two_from {
            true => StreamType::General,
            false => expected[at].stream(),
        };
        [StreamType::General, StreamType::Data1]
            .into_iter()
            .all(|kind| {
                let sent: Vec<_> = (0..expected.len()).filter(|at| of(*at) == kind).collect();
                let got: Vec<_> = got.iter().copied().filter(|at| of(*at) == kind).collect();
                let struck = corrupted.filter(|strike| kind_of(strike) == kind);
                is_in_order(&sent, &got, struck, lost)
            })
    };
    assert!(
        (earliest..=expected.len()).any(holds),
        "of {} messages came, not in an order that two streams can bring: {got:?}",
        expected.len()
    );
    if story.has_all && corrupted.is_none() {
        let missing = expected.iter().enumerate();
        let mut missing = missing.filter(|(at, sent)| !sent.is_last_word() && !got.contains(at));
        assert!(missing.next().is_none(), "not all has come: {got:?}");
    }
}

fn kind_of(strike: &Strike) -> StreamType {
    match strike.connection {
        0 => StreamType::General,
        _ => StreamType::Data1,
    }
}

fn is_in_order(sent: &[usize], got: &[usize], struck: Option<&Strike>, lost: usize) -> bool {
    let Some(strike) = struck else {
        return sent.starts_with(got);
    };
    let (mut next, mut missing, mut twice) = (0, lost, 0);
    for at in got {
        match sent[next..].iter().position(|sent| sent == at) {
            Some(ahead) => {
                missing += ahead;
                next += ahead + 1;
            }
            None => twice += 1,
        }
    }
    match strike.fault.kind {
        FaultKind::Flip { .. } => twice == 0 && (strike.place == Place::Length || missing <= 1),
        FaultKind::Insert { .. } | FaultKind::Remove { .. } => twice == 0,
        _ => true,
    }
}

impl Sent {
    fn is(&self, got: &Message, corrupted: Option<&Strike>) -> bool {
        match (self, got) {
            (Sent::Message(sent), _) => match corrupted {
                Some(strike) => is_same(got, sent, strike),
                None => got == sent,
            },
            (Sent::Question(hash), Message::GetData(GetData { inventory })) => {
                matches!(inventory[..], [Inventory::Block(asked), Inventory::Tx(_)] if asked == *hash)
            }
            // A message whose command was changed by a fault.
            (Sent::Question(hash), Message::Unknown { payload, .. }) => {
                let begins = [&[2, 2, 0, 0, 0], &hash.0[..]].concat();
                corrupted.is_some() && payload.starts_with(&begins)
            }
            _ => false,
        }
    }

    fn is_last_word(&self) -> bool {
        matches!(self, Sent::Message(message) if last_word_of(message).is_some())
    }

    /// Returns the stream of the message once there are two.
    fn stream(&self) -> StreamType {
        match self {
            Sent::Message(message) => stream(message),
            Sent::Question(_) => StreamType::Data1,
        }
    }
}
