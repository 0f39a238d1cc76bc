//! What a fault on one of two TCP connections may bring: which second stream, which ends, and which messages.

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::{DisconnectReason, StreamSetupError};
use bsv_p2p::wire::{GetData, Inventory, Message, StreamPolicy, StreamType};

use crate::fault_proxy::{FaultKind, Place, Strike, Way};
use crate::side::{Second, Story};
use crate::stream_script::{is_answer, last_word_of, stream};
use crate::stream_side::{Sent, Told};
use crate::table::{is_renamed, is_same};

/// The length of a `createstrm` with a UUID and the policy `BlockPriority`, as a frame.
pub(crate) const QUESTION: u64 = 24 + 18 + 1 + 14;
/// That of its answer.
const ANSWER: u64 = 24 + 18 + 1;

/// What the fault struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Nothing,
    /// The first connection.
    General,
    /// The second one: its `createstrm` does not come whole, and the other side knows of no stream.
    Question,
    /// Its `streamack` does not come whole: one side knows of a stream that the other does not have.
    Answer,
    /// What followed.
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
            Way::ToDialler => (ANSWER, Phase::Answer),
        };
        let damaged_from = match strike.fault.kind {
            // What comes twice is whole the first time.
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

/// Checks what each side was told of the second stream, and of the connection that was to be it.
pub(crate) fn check_second(phase: Phase, strike: Option<&Strike>, dialler: &Told, target: &Told) {
    check_dialler(phase, strike, &dialler.story);
    check_target(phase, &target.story);
    assert_eq!(dialler.strangers, [], "one that dials has no others");
    check_strangers(phase, &target.strangers);
}

const OPENED: Second = Second::Opened(StreamPolicy::BlockPriority);

/// Checks what the side that is asked for a second stream was told of it.
pub(crate) fn check_target(phase: Phase, story: &Story) {
    let right = match phase {
        Phase::General => true,
        Phase::Question => story.second.is_none(),
        Phase::Nothing | Phase::Answer | Phase::Data1 => story.second == Some(OPENED),
    };
    assert!(right, "{phase:?}: {}", story.summary());
}

/// Checks what the side that opens the second stream was told of it.
pub(crate) fn check_dialler(phase: Phase, strike: Option<&Strike>, story: &Story) {
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
        // A first connection that ends takes the second one with it, wherever that is.
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
            // The first connection has ended before the answer was missed.
            None => told.is_none(),
            _ => false,
        },
        // A cut right behind the answer may be seen before it, and so may be the end of the other side that it brings.
        Phase::Data1 => {
            let ended = told.is_none() && story.end != Some(DisconnectReason::Requested);
            *told == Some(OPENED) || (cut && (refusal == Some(&Closed) || ended))
        }
    };
    assert!(right, "{phase:?}: {}", story.summary());
}

/// A connection that was to become a stream tells of itself only if it has not.
fn check_strangers(phase: Phase, events: &[ControlEvent]) {
    let mut peers: Vec<_> = events.iter().map(|event| event.peer()).collect();
    peers.dedup();
    let may_fail = matches!(phase, Phase::Question | Phase::General);
    let order = match events {
        [] => true,
        // It was ended with everything else before it had begun.
        [ControlEvent::ConnectionFailed { reason, .. }] => {
            may_fail && *reason == DisconnectReason::Requested
        }
        [
            ControlEvent::ConnectionEstablished { .. },
            between @ ..,
            ControlEvent::ConnectionFailed { reason, .. },
        ] => {
            let mut between = between.iter();
            may_fail
                && *reason != DisconnectReason::AttachedAsStream
                && between.all(|event| matches!(event, ControlEvent::PeerMisbehavior { .. }))
        }
        _ => false,
    };
    assert!(order && peers.len() <= 1, "{phase:?}: {events:?}");
}

/// Checks what has come against what was sent: over each stream nothing altered, nothing made up, nothing in another order, and nothing missing
/// that the fault has not cost.
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
        // Frames that came damaged are answered with rejects.
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
    // From which message on the sender had two streams nobody can tell.
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
            // One whose name a fault has changed.
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

    /// Over which stream it goes as soon as there are two.
    fn stream(&self) -> StreamType {
        match self {
            Sent::Message(message) => stream(message),
            Sent::Question(_) => StreamType::Data1,
        }
    }
}
