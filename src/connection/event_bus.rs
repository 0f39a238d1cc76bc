//! From the connections to whoever listens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use parking_lot::Mutex;

use super::stop::Stop;
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};

/// How many control events may wait for a receiver. Further ones are counted, and named by [`ControlEvent::Lagged`].
const CONTROL_CAPACITY: usize = 1024;
/// How many events may wait for a receiver of messages.
const MESSAGE_CAPACITY: usize = 1024;

/// Where connections send their events, and programs subscribe to them.
///
/// Make one, subscribe, and hand a clone (it is the same bus) to every connection: a subscription made before a connection
/// is spawned misses nothing. Any number of receivers; one that is dropped disappears. A receiver's loop ends when the bus and all
/// connections that hold it are gone. Safe to use from several threads.
///
/// A receiver of messages that does not keep up makes the connections wait: nothing is lost, and TCP holds the peers back. A
/// receiver of control events never makes anybody wait: what it does not take in time is counted.
#[derive(Clone, Debug, Default)]
pub struct EventBus {
    receivers: Arc<Mutex<Receivers>>,
}

#[derive(Debug, Default)]
struct Receivers {
    control: Vec<ControlReceiver>,
    /// Shared, so that nobody waits for a receiver under the lock.
    messages: Arc<[Sender<BitcoinMessageEvent>]>,
    both: Arc<[Sender<Event>]>,
}

#[derive(Debug)]
struct ControlReceiver {
    sender: Sender<ControlEvent>,
    missed: u64,
}

impl ControlReceiver {
    /// Returns whether the receiver is still there.
    fn send(&mut self, event: &ControlEvent) -> bool {
        if self.missed > 0
            && self
                .sender
                .try_send(ControlEvent::Lagged(self.missed))
                .is_ok()
        {
            self.missed = 0;
        }
        match self.sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

impl EventBus {
    /// A bus without receivers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Subscribes to what happens to connections.
    pub fn subscribe_control(&self) -> Receiver<ControlEvent> {
        let (sender, receiver) = bounded(CONTROL_CAPACITY);
        self.receivers
            .lock()
            .control
            .push(ControlReceiver { sender, missed: 0 });
        receiver
    }

    /// Subscribes to messages.
    pub fn subscribe_messages(&self) -> Receiver<BitcoinMessageEvent> {
        let (sender, receiver) = bounded(MESSAGE_CAPACITY);
        add(&mut self.receivers.lock().messages, sender);
        receiver
    }

    /// Subscribes to both in one receiver, in the order in which each connection sends them.
    pub fn subscribe(&self) -> Receiver<Event> {
        let (sender, receiver) = bounded(MESSAGE_CAPACITY);
        add(&mut self.receivers.lock().both, sender);
        receiver
    }

    /// Sends a control event. Waits only for receivers of both kinds, and not once `stop` is given.
    pub(super) fn send_control(&self, event: ControlEvent, stop: &Stop) -> Duration {
        let both = {
            let mut receivers = self.receivers.lock();
            receivers
                .control
                .retain_mut(|receiver| receiver.send(&event));
            receivers.both.clone()
        };
        self.send_to_both(&both, &Event::Control(event), stop)
    }

    /// Sends a message to all who want messages. Returns how long it had to wait for them.
    pub(super) fn send_message(&self, event: BitcoinMessageEvent, stop: &Stop) -> Duration {
        let (messages, both) = {
            let receivers = self.receivers.lock();
            (receivers.messages.clone(), receivers.both.clone())
        };
        let waited = self.deliver(&messages, &event, stop, |receivers| &mut receivers.messages);
        waited + self.send_to_both(&both, &Event::Message(event), stop)
    }

    fn send_to_both(&self, both: &[Sender<Event>], event: &Event, stop: &Stop) -> Duration {
        self.deliver(both, event, stop, |receivers| &mut receivers.both)
    }

    /// Sends to each of `senders` and removes those whose receivers are gone. Returns how long it had to wait.
    fn deliver<T: Clone>(
        &self,
        senders: &[Sender<T>],
        event: &T,
        stop: &Stop,
        list: impl Fn(&mut Receivers) -> &mut Arc<[Sender<T>]>,
    ) -> Duration {
        let mut waited = Duration::ZERO;
        for sender in senders {
            match send(sender, event.clone(), stop) {
                Sent::Taken(wait) => waited += wait,
                Sent::ReceiverGone => {
                    let mut receivers = self.receivers.lock();
                    let list = list(&mut receivers);
                    let alive = list.iter().filter(|other| !other.same_channel(sender));
                    *list = alive.cloned().collect();
                }
            }
        }
        waited
    }
}

fn add<T>(senders: &mut Arc<[Sender<T>]>, sender: Sender<T>) {
    *senders = senders.iter().cloned().chain([sender]).collect();
}

enum Sent {
    /// The receiver has it, after such a wait; or the stop was given.
    Taken(Duration),
    ReceiverGone,
}

fn send<T>(sender: &Sender<T>, event: T, stop: &Stop) -> Sent {
    let event = match sender.try_send(event) {
        Ok(()) => return Sent::Taken(Duration::ZERO),
        Err(TrySendError::Disconnected(_)) => return Sent::ReceiverGone,
        Err(TrySendError::Full(event)) => event,
    };
    let began = Instant::now();
    select! {
        send(sender, event) -> sent => match sent {
            Ok(()) => Sent::Taken(began.elapsed()),
            Err(_) => Sent::ReceiverGone,
        },
        recv(stop.signal()) -> _ => Sent::Taken(began.elapsed()),
    }
}
