//! Two connected sessions: the test controls when and in which order the bytes of one reach the
//! other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bsv_p2p::session::{
    Direction, DisconnectReason, NonceRegistry, Output, SessionConfig, SessionEvent, TransportClose,
};
use bsv_p2p::wire::{Command, Encode, Message};
use bytes::Bytes;

use crate::side::Side;

/// The dialing side, as an index into the arrays of a [`Pair`].
pub(crate) const DIALLER: usize = 0;
/// The accepting side.
pub(crate) const LISTENER: usize = 1;

/// A frame in transit.
struct Flying {
    command: Command,
    payload: Bytes,
    arrives: Instant,
}

/// An outbound and an inbound session with a wire between them.
pub(crate) struct Pair {
    pub(crate) sides: [Side; 2],
    /// The bytes in transit to each side, in their order.
    wires: [VecDeque<Flying>; 2],
    /// Whether the sender of each wire has closed: the end of the stream arrives after the frames.
    cut: [bool; 2],
    latency: Duration,
    /// The messages sent by each side.
    pub(crate) sent: [Vec<Message>; 2],
    /// The events emitted by each side.
    pub(crate) events: [Vec<SessionEvent>; 2],
    /// The reason of the end of each side.
    pub(crate) closed: [Option<DisconnectReason>; 2],
}

impl Pair {
    /// Creates both sides with default configuration and separate registries; TCP is connected.
    pub(crate) fn new() -> Self {
        let registries = [NonceRegistry::default(), NonceRegistry::default()];
        Self::with([(); 2].map(|()| SessionConfig::default()), registries)
    }

    pub(crate) fn with(configs: [SessionConfig; 2], registries: [NonceRegistry; 2]) -> Self {
        let [dialer, listener] = configs;
        let [dialer_registry, listener_registry] = registries;
        let mut sides = [
            Side::new(Direction::Outbound, dialer, dialer_registry, 1000),
            Side::new(Direction::Inbound, listener, listener_registry, 2000),
        ];
        sides[LISTENER].now = sides[DIALLER].now;
        let mut pair = Self {
            sides,
            wires: [VecDeque::new(), VecDeque::new()],
            cut: [false; 2],
            latency: Duration::ZERO,
            sent: [Vec::new(), Vec::new()],
            events: [Vec::new(), Vec::new()],
            closed: [None, None],
        };
        for side in &mut pair.sides {
            side.connect();
        }
        pair.collect();
        pair
    }

    /// Sets the latency of later frames.
    pub(crate) fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        for flying in self.wires.iter_mut().flatten() {
            flying.arrives += latency;
        }
        self
    }

    pub(crate) fn now(&self) -> Instant {
        self.sides[DIALLER].now
    }

    /// Returns the number of frames in transit to `side`.
    pub(crate) fn flying(&self, side: usize) -> usize {
        self.wires[side].len()
    }

    /// Returns the command of the frame at `at` among those in transit to `side`.
    pub(crate) fn command(&self, side: usize, at: usize) -> Command {
        self.wires[side][at].command
    }

    /// Delivers the oldest frame in transit to `side`, or the end of the stream after the last.
    /// Returns whether there was one.
    pub(crate) fn deliver(&mut self, side: usize) -> bool {
        if !self.wires[side].is_empty() {
            self.deliver_at(side, 0);
            return true;
        }
        let end = self.cut[side] && self.closed[side].is_none();
        if end {
            self.sides[side].transport_ends(TransportClose::ConnectionClosed);
            self.collect();
        }
        end
    }

    /// Delivers the frame at `at`, ahead of those before it.
    pub(crate) fn deliver_at(&mut self, side: usize, at: usize) {
        let Flying {
            command, payload, ..
        } = self.wires[side].remove(at).unwrap();
        self.sides[side].receive_payload(command, payload);
        self.collect();
    }

    /// Delivers frames in turns until none is in transit.
    pub(crate) fn settle(&mut self) {
        while self.deliver(DIALLER) | self.deliver(LISTENER) {}
    }

    /// Advances the clock by `time`: frames arrive and timeouts expire at their moments.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now() + time;
        loop {
            let arrivals = self.wires.iter().filter_map(VecDeque::front);
            let arrivals = arrivals.map(|flying| flying.arrives);
            let deadlines = self.sides.iter();
            let deadlines = deadlines.filter_map(|side| side.session.next_deadline());
            let next = arrivals.chain(deadlines).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.set_clock(next.max(self.now()));
            for side in [DIALLER, LISTENER] {
                let due = |flying: &Flying| flying.arrives <= next;
                if self.wires[side].front().is_some_and(due) {
                    self.deliver_at(side, 0);
                } else if self.wires[side].is_empty() {
                    self.deliver(side);
                }
                self.sides[side].look_at_clock();
                self.collect();
            }
        }
        self.set_clock(end);
    }

    /// Drops everything in transit.
    pub(crate) fn lose_everything(&mut self) {
        self.wires.iter_mut().for_each(VecDeque::clear);
    }

    pub(crate) fn set_clock(&mut self, now: Instant) {
        self.sides.iter_mut().for_each(|side| side.now = now);
    }

    /// Returns the commands that a side has sent.
    pub(crate) fn sent_names(&self, side: usize) -> Vec<String> {
        let name = |message: &Message| message.command().name().to_owned();
        self.sent[side].iter().map(name).collect()
    }

    /// Returns how often a side emitted a complete handshake.
    pub(crate) fn completions(&self, side: usize) -> usize {
        let complete = |event: &&SessionEvent| matches!(event, SessionEvent::HandshakeComplete(_));
        self.events[side].iter().filter(complete).count()
    }

    /// Moves the bytes, like a driver.
    fn collect(&mut self) {
        for side in [DIALLER, LISTENER] {
            for output in self.sides[side].take() {
                match output {
                    Output::Send(message) => {
                        let arrives = self.now() + self.latency;
                        self.wires[1 - side].push_back(Flying {
                            command: message.command(),
                            payload: message.encode_to_vec().into(),
                            arrives,
                        });
                        self.sent[side].push(message);
                    }
                    Output::Event(event) => self.events[side].push(event),
                    Output::RegisterAssociation(_) | Output::OpenStream(_) => {
                        panic!("no streams are offered here: {output:?}")
                    }
                    Output::Close(reason) => {
                        self.closed[side] = Some(reason);
                        self.cut[1 - side] = true;
                    }
                }
            }
        }
    }
}
