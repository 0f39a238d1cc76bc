//! A peer with up to two streams: its actions, and the events it reports.

use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::Error;
use bsv_p2p::connection::{EventReceiver, PeerConnectionHandle};
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{BlockHash, Message, StreamType};
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::messages::blocks;
use crate::side::{self, DEADLINE, Heard, Story};
use crate::stream_script::{PATIENCE, Step, answer, last_word_of, last_words};

/// The pause between the last words of a side.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Side {
    pub(crate) handle: PeerConnectionHandle,
    pub(crate) events: EventReceiver<Event>,
    pub(crate) script: (Vec<Step>, Vec<Step>),
    /// The time limit for knowing whether there is a second stream.
    pub(crate) decision: Duration,
    /// The time after which it disconnects in any case.
    pub(crate) gives_up: Option<Duration>,
}

/// The result of a side.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) story: Story,
    /// Events of other connections.
    pub(crate) strangers: Vec<ControlEvent>,
    pub(crate) sent: Vec<Sent>,
    /// The number of requests without a response, or with a wrong one.
    pub(crate) unanswered: usize,
    pub(crate) gave_up: bool,
}

/// A message that a side has queued. The last one may not have been sent.
#[derive(Debug)]
pub(crate) enum Sent {
    Message(Message),
    /// A request for this block. The library chooses its end marker.
    Question(BlockHash),
}

/// The result of a send.
#[derive(Default)]
struct Outcome {
    sent: Vec<Sent>,
    unanswered: usize,
    refused: Option<DisconnectReason>,
}

impl Side {
    /// Sends its script, answers, and receives until the end. `on_complete` is called when all
    /// messages of the other side have arrived.
    pub(crate) fn live(&self, on_complete: &(dyn Fn() + Sync)) -> Told {
        let mut told = Told::default();
        let outcome = thread::scope(|scope| {
            // Used as a signal only: its drop is the message.
            let (over, until_over) = bounded::<()>(0);
            let (decide, decided) = bounded(1);
            let mut sender = None;
            let mut begin = Some((until_over, decided));
            self.listen(&mut told, on_complete, |heard| match heard {
                Heard::Handshake => {
                    let (until_over, decided) = begin.take().expect("one handshake");
                    sender = Some(scope.spawn(move || self.send(&decided, &until_over)));
                }
                Heard::Second => decide.send(()).unwrap_or_default(),
                Heard::Message | Heard::Else => {}
            });
            drop((over, decide));
            let outcome = sender.map(|sender| sender.join().unwrap_or_else(|p| resume_unwind(p)));
            outcome.unwrap_or_default()
        });
        told.sent = outcome.sent;
        told.unanswered = outcome.unanswered;
        side::check_handle(&told.story, &self.handle, outcome.refused);
        for event in self.events.try_iter().map(Result::unwrap) {
            assert_ne!(peer_of(&event), Some(self.handle.peer_id()), "{event:?}");
            told.on_stranger(event);
        }
        told
    }

    fn listen(
        &self,
        told: &mut Told,
        on_complete: &(dyn Fn() + Sync),
        mut tell: impl FnMut(Heard),
    ) {
        let deadline = Instant::now() + DEADLINE;
        let mut gives_up = self.gives_up.map(|after| Instant::now() + after);
        let mut last_words = [false, false];
        while told.story.end.is_none() {
            if gives_up.take_if(|at| *at <= Instant::now()).is_some() {
                told.gave_up = true;
                self.handle.disconnect();
            }
            let event = match self.events.recv_deadline(gives_up.unwrap_or(deadline)) {
                Ok(event) => event,
                Err(_) if gives_up.is_some() => continue,
                Err(_) => panic!("no end came: {}", told.story.summary()),
            };
            if peer_of(&event) != Some(self.handle.peer_id()) {
                told.on_stranger(event);
                continue;
            }
            let heard = told.story.on_event(event);
            tell(heard);
            let Some(message) = told
                .story
                .messages
                .last()
                .filter(|_| heard == Heard::Message)
            else {
                continue;
            };
            if let Message::GetData(question) = message {
                answer(&self.handle, question, DEADLINE);
            }
            if let Some(stream) = last_word_of(message) {
                last_words[usize::from(stream == StreamType::Data1)] = true;
                if last_words == [true, true] && !told.story.has_all {
                    told.story.has_all = true;
                    on_complete();
                }
            }
        }
    }

    fn send(&self, decided: &Receiver<()>, until_over: &Receiver<()>) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.refused = self.send_all(decided, until_over, &mut outcome).err();
        outcome
    }

    fn send_all(
        &self,
        decided: &Receiver<()>,
        until_over: &Receiver<()>,
        outcome: &mut Outcome,
    ) -> Result<(), DisconnectReason> {
        let (before, behind) = &self.script;
        before
            .iter()
            .try_for_each(|step| self.take(step, outcome))?;
        let _ = decided.recv_timeout(self.decision);
        behind
            .iter()
            .try_for_each(|step| self.take(step, outcome))?;
        for number in 0.. {
            for word in last_words(number) {
                self.take(&Step::Send(word), outcome)?;
            }
            if until_over.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
        }
        Ok(())
    }

    fn take(&self, step: &Step, outcome: &mut Outcome) -> Result<(), DisconnectReason> {
        let result = match step {
            Step::Send(message) => {
                outcome.sent.push(Sent::Message(message.clone()));
                // The content is random.
                self.handle.send_unchecked(message, DEADLINE)
            }
            Step::Ping => self.handle.ping(PATIENCE).map(|_| ()),
            Step::Ask(hash) => {
                outcome.sent.push(Sent::Question(*hash));
                let is_there = blocks().iter().any(|block| block.hash() == *hash);
                match self.handle.block(*hash, PATIENCE) {
                    Ok(block) => {
                        assert!(is_there && block.hash() == *hash, "another block");
                        Ok(())
                    }
                    Err(Error::NotFound { .. }) if !is_there => Ok(()),
                    Err(error) => Err(error),
                }
            }
        };
        match result {
            Ok(()) => Ok(()),
            Err(Error::Disconnected { reason, .. }) => Err(reason),
            Err(Error::Timeout { .. } | Error::NotFound { .. })
                if !matches!(step, Step::Send(_)) =>
            {
                outcome.unanswered += 1;
                Ok(())
            }
            Err(other) => panic!("{step:?}: {other}"),
        }
    }
}

impl Told {
    /// Records an event of another connection.
    pub(crate) fn on_stranger(&mut self, event: Event) {
        match event {
            Event::Control(event) => self.strangers.push(event),
            other => panic!("an event of another peer: {other:?}"),
        }
    }
}

fn peer_of(event: &Event) -> Option<bsv_p2p::peers::PeerId> {
    match event {
        Event::Control(event) => event.peer().map(|(peer_id, _)| peer_id),
        Event::Message(event) => Some(event.peer_id),
        _ => None,
    }
}
