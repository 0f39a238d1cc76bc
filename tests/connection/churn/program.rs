//! The resources that the connections of one program share, and its subscribers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bsv_p2p::connection::{
    AssociationRegistry, ConnectionSlots, EventBus, PeerConnectionOptions, SubscriptionOptions,
};
use bsv_p2p::event::Event;
use bsv_p2p::{ConnectionConfig, Network, PayloadMemory};

use super::history::{History, SLOW};

/// The number of events that a slow subscriber takes before each of its pauses.
const SLOW_BATCH: usize = 16;
const SLOW_PAUSE: Duration = Duration::from_millis(20);
/// The number of pending messages from which the queue of the slow subscriber is full.
const SLOW_CAPACITY: usize = 16;

/// The shared resources of a program, with a subscriber that checks all events and two slow ones.
pub(super) struct Program {
    slots: ConnectionSlots,
    associations: AssociationRegistry,
    memory: PayloadMemory,
    bus: EventBus,
    /// The number of connections that were started.
    started: Arc<AtomicUsize>,
    /// The subscribers that check events.
    checks: [JoinHandle<History>; 2],
    /// The slow subscriber to messages. Returns the maximum length of its queue.
    slow_messages: JoinHandle<usize>,
}

/// The actions of the connections of a program.
pub(super) struct Counts {
    events: usize,
    peers: usize,
    pub(super) restarts: usize,
    streams: usize,
    longest_queue: usize,
}

impl Counts {
    /// Asserts that the run was no idle one.
    pub(super) fn check(&self) {
        assert!(
            self.streams > 0 && self.longest_queue > SLOW_CAPACITY,
            "{self}"
        );
    }
}

impl Program {
    /// Starts the subscribers. `on_event` is called after each event was checked.
    pub(super) fn start(mut on_event: impl FnMut(Event) + Send + 'static) -> Self {
        let bus = EventBus::new();
        let all = bus.subscribe();
        let control = bus.subscribe_control();
        let messages = bus.subscribe_messages_with(SubscriptionOptions {
            capacity: SLOW_CAPACITY,
            ..SubscriptionOptions::with_name(SLOW)
        });
        let all = thread::spawn(move || {
            let mut history = History::default();
            for event in all.iter().map(Result::unwrap) {
                history.on_event(&event);
                on_event(event);
            }
            history
        });
        let slow_control = thread::spawn(move || {
            let mut history = History::default();
            for (number, event) in control.iter().map(Result::unwrap).enumerate() {
                history.on_control(&event);
                pause_after(number);
            }
            history
        });
        let slow_messages = thread::spawn(move || {
            let mut longest_queue = 0;
            for (number, event) in messages.iter().map(Result::unwrap).enumerate() {
                drop(event);
                pause_after(number);
                longest_queue = longest_queue.max(messages.len());
            }
            longest_queue
        });
        Self {
            slots: ConnectionSlots::new(10_000),
            associations: AssociationRegistry::default(),
            memory: PayloadMemory::default(),
            bus,
            started: Arc::default(),
            checks: [all, slow_control],
            slow_messages,
        }
    }

    /// Returns the options of the next connection.
    pub(super) fn options(&self, multistreams: bool) -> PeerConnectionOptions {
        PeerConnectionOptions {
            associations: self.associations.clone(),
            memory: self.memory.clone(),
            events: self.bus.clone(),
            slot: Some(self.slots.reserve().expect("a free slot")),
            ..PeerConnectionOptions::new(config(multistreams))
        }
    }

    pub(super) fn started(&self) -> &Arc<AtomicUsize> {
        &self.started
    }

    /// Checks all events, and that no resource is in use. All handles must have been dropped.
    pub(super) fn finish(self) -> Counts {
        // The receivers end once all publishers are dropped.
        drop(self.bus);
        let histories = self.checks.map(|check| check.join().unwrap());
        let longest_queue = self.slow_messages.join().unwrap();
        let started = self.started.load(SeqCst);
        histories
            .iter()
            .for_each(|history| history.check_end(started));
        assert_eq!(self.slots.count(), 0);
        assert!(self.associations.is_empty(), "{:?}", self.associations);
        assert_eq!(self.memory.used(), 0);
        let (restarts, streams) = histories[0].restarts_and_streams();
        Counts {
            events: histories[0].events,
            peers: started,
            restarts,
            streams,
            longest_queue,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            peers,
            restarts,
            streams,
            longest_queue,
        } = self;
        write!(
            f,
            "{events} events of {peers} peers, {restarts} restarts, {streams} data streams, \
             {longest_queue} messages pending"
        )
    }
}

/// Reading pauses soon after a queue is full.
pub(super) fn config(multistreams: bool) -> ConnectionConfig {
    let mut config = ConnectionConfig::new(Network::Regtest);
    config.session.multistreams = multistreams;
    config.max_subscriber_backlog_bytes = 200_000;
    config
}

fn pause_after(number: usize) {
    if number % SLOW_BATCH == SLOW_BATCH - 1 {
        thread::sleep(SLOW_PAUSE);
    }
}
