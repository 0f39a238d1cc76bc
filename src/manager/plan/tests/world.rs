//! A simulated network of peers with distinct behavior.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::connection::{RestartDecision, RestartPolicy};
use crate::peers::PeerId;

/// The behavior of a dialed peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Accepts, and stays connected for hours.
    Good,
    /// Accepts, and closes the connection after seconds.
    Flaps,
    /// Refuses the connection.
    Refuses,
    /// Does not answer, so that the dial times out after ten seconds.
    IsDead,
    /// Accepts, and misbehaves after some time.
    Misbehaves,
    /// Follows another chain.
    IsForeign,
}

/// A scheduled event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Connects(PeerId),
    Ends(PeerId, Ending),
    Dials(u32),
    /// The first message of an inbound socket is missing.
    TimesOut(PeerId, SocketAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Cut,
    Refused,
    Dead,
    Misbehaved,
    Foreign,
    Silent,
}

impl Ending {
    fn reason(self) -> DisconnectReason {
        match self {
            Ending::Cut => DisconnectReason::ConnectionClosed,
            Ending::Refused => DisconnectReason::ConnectRefused,
            Ending::Dead => DisconnectReason::ConnectTimeout { after: 10 * SECOND },
            Ending::Misbehaved => DisconnectReason::Misbehaved { score: 100 },
            Ending::Foreign => DisconnectReason::WrongChain,
            Ending::Silent => DisconnectReason::HandshakeTimeout {
                after: 10 * SECOND,
                missing: AwaitedMessage::Version,
            },
        }
    }
}

/// A simulated connection.
struct Life {
    restarts: RestartPolicy,
    habit: Habit,
    connected_at: Option<Instant>,
    /// The number of the run. Events of earlier runs are ignored.
    number: u64,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) now: Now,
    config: Arc<ManagerConfig>,
    habits: fn(SocketAddr) -> Habit,
    random: Random,
    events: BinaryHeap<Reverse<(Instant, u64, u64, Event)>>,
    order: u64,
    lives: HashMap<PeerId, Life>,
    pub(super) dialed: HashMap<SocketAddr, Vec<Instant>>,
    pub(super) let_in: usize,
    pub(super) banned: usize,
}

impl World {
    pub(super) fn new(
        config: ManagerConfig,
        known: Vec<Peer>,
        habits: fn(SocketAddr) -> Habit,
        seed: u64,
    ) -> Self {
        let now = begin();
        Self {
            plan: plan_of(config.clone(), known, now),
            now,
            config: Arc::new(config),
            habits,
            random: random(seed),
            events: BinaryHeap::new(),
            order: 0,
            lives: HashMap::new(),
            dialed: HashMap::new(),
            let_in: 0,
            banned: 0,
        }
    }

    /// Schedules an inbound connection after about `every`. [`World::run`] repeats it.
    pub(super) fn strangers(&mut self, every: Duration) {
        let number = (self.random)() as u32 % 5000;
        let pause = self.about(every);
        self.later(pause, 0, Event::Dials(number));
    }

    fn about(&mut self, duration: Duration) -> Duration {
        duration / 1000 * u32::try_from((self.random)() % 1500 + 1).unwrap()
    }

    fn later(&mut self, pause: Duration, life: u64, event: Event) {
        self.order += 1;
        let at = self.now.instant + pause;
        self.events.push(Reverse((at, self.order, life, event)));
    }

    /// Advances the time, and calls `check` after each step.
    pub(super) fn run(
        &mut self,
        duration: Duration,
        stranger_every: Option<Duration>,
        mut check: impl FnMut(&World),
    ) {
        let end = self.now.instant + duration;
        let mut turns_at_once = 0;
        loop {
            self.plan.on_timeout(self.now);
            self.carry_out();
            check(self);
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            let next = event
                .into_iter()
                .fold(self.plan.next_deadline(), Instant::min);
            if next >= end {
                self.now = super::later(self.now, end - self.now.instant);
                return;
            }
            turns_at_once = if next <= self.now.instant {
                turns_at_once + 1
            } else {
                0
            };
            assert!(
                turns_at_once < 10_000,
                "time stands still: the plan is never content"
            );
            let passed = next.saturating_duration_since(self.now.instant);
            self.now = super::later(self.now, passed);
            if let Some(Reverse((at, ..))) = self.events.peek()
                && *at <= self.now.instant
                && let Some(Reverse((_, _, life, event))) = self.events.pop()
            {
                self.happen(life, event, stranger_every);
            }
        }
    }

    fn happen(&mut self, number: u64, event: Event, stranger_every: Option<Duration>) {
        match event {
            Event::Connects(peer_id) => {
                let Some(life) = self
                    .lives
                    .get_mut(&peer_id)
                    .filter(|life| life.number == number)
                else {
                    return;
                };
                life.connected_at = Some(self.now.instant);
                let habit = life.habit;
                self.plan.on_connected(peer_id, &info(), self.now);
                let (after, ending) = match habit {
                    Habit::Good => (6 * HOUR, Ending::Cut),
                    Habit::Flaps => (5 * SECOND, Ending::Cut),
                    Habit::Misbehaves => (HOUR, Ending::Misbehaved),
                    _ => return,
                };
                let after = self.about(after);
                self.later(after, number, Event::Ends(peer_id, ending));
            }
            Event::Ends(peer_id, ending) => {
                if self
                    .lives
                    .get(&peer_id)
                    .is_some_and(|life| life.number == number)
                {
                    self.end(peer_id, &ending.reason());
                }
            }
            Event::TimesOut(peer_id, from) => self.classify(peer_id, from, true),
            Event::Dials(stranger) => {
                self.accept(SocketAddr::new(address(stranger).ip(), 50_000));
                if let Some(every) = stranger_every {
                    self.strangers(every);
                }
            }
        }
    }

    fn accept(&mut self, from: SocketAddr) {
        let peer_id = PeerId::random();
        // The simulation does not retry held sockets.
        if self.plan.on_accepted(peer_id, from, &Blind, self.now) != SocketAdmission::Accept {
            return;
        }
        match (self.habits)(from) {
            // A peer that dials is reachable. Instead of refusing, it sends nothing.
            Habit::Refuses | Habit::IsDead => {
                self.later(10 * SECOND, 0, Event::TimesOut(peer_id, from));
            }
            _ => self.classify(peer_id, from, false),
        }
    }

    fn classify(&mut self, peer_id: PeerId, from: SocketAddr, has_ended: bool) {
        let admission = self
            .plan
            .on_classified(peer_id, has_ended, &Blind, self.now);
        match admission {
            Admission::Accept => {
                self.let_in += 1;
                self.begin(
                    peer_id,
                    from,
                    RestartPolicy::new(Direction::Inbound, self.config.restarts.clone()),
                );
            }
            Admission::RejectPolitely => {
                self.plan
                    .on_over(peer_id, &DisconnectReason::AtCapacity, self.now)
            }
            Admission::Drop(_) => {}
            Admission::Defer(_) => {
                let end = SocketEnd::Closed;
                self.plan.on_socket_over(peer_id, &end, self.now);
            }
        }
    }

    fn begin(&mut self, peer_id: PeerId, address: SocketAddr, restarts: RestartPolicy) {
        let habit = (self.habits)(address);
        self.order += 1;
        let number = self.order;
        let inbound = self
            .plan
            .links
            .get(peer_id)
            .is_some_and(|link| link.direction == Direction::Inbound);
        let life = Life {
            restarts,
            habit,
            connected_at: None,
            number,
        };
        self.lives.insert(peer_id, life);
        match habit {
            Habit::Good | Habit::Flaps | Habit::Misbehaves => {
                let pause = self.about(SECOND / 10);
                self.later(pause, number, Event::Connects(peer_id));
            }
            // The handshake of a socket without a first message has timed out already.
            Habit::Refuses | Habit::IsDead if inbound => {
                self.later(Duration::ZERO, number, Event::Ends(peer_id, Ending::Silent))
            }
            Habit::Refuses => {
                self.later(SECOND / 100, number, Event::Ends(peer_id, Ending::Refused))
            }
            Habit::IsDead => self.later(10 * SECOND, number, Event::Ends(peer_id, Ending::Dead)),
            Habit::IsForeign => self.later(SECOND, number, Event::Ends(peer_id, Ending::Foreign)),
        }
    }

    /// Ends a connection as its thread would.
    fn end(&mut self, peer_id: PeerId, reason: &DisconnectReason) {
        let random = (self.random)();
        let Some(life) = self.lives.get_mut(&peer_id) else {
            return;
        };
        life.number = 0;
        let verdict =
            life.restarts
                .on_end(reason, life.connected_at.take(), self.now.instant, random);
        self.banned += usize::from(verdict == RestartDecision::Ban);
        match verdict.pause() {
            Some(pause) => {
                let due = self.now.instant + pause;
                self.plan.on_waiting(peer_id, due, reason, self.now)
            }
            None => {
                self.lives.remove(&peer_id);
                self.plan.on_over(peer_id, reason, self.now);
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.plan.poll_action() {
            match action {
                Action::Dial {
                    peer_id,
                    address,
                    attachment,
                } => {
                    assert!(
                        !self.lives.contains_key(&peer_id),
                        "{address} is dialed twice"
                    );
                    self.note_dial(address);
                    let restarts = attachment.restarts(&self.config);
                    self.begin(
                        peer_id,
                        address,
                        RestartPolicy::new(Direction::Outbound, restarts),
                    );
                }
                Action::Restart { peer_id } => {
                    let life = self.lives.remove(&peer_id).expect("a life that waits");
                    let address = self.plan.links.get(peer_id).expect("a link").address;
                    self.note_dial(address);
                    self.begin(peer_id, address, life.restarts);
                }
                Action::Close { peer_id, reason } => {
                    self.lives.remove(&peer_id);
                    self.plan.on_over(peer_id, &reason, self.now);
                }
                Action::CloseSocket { socket } => {
                    let end = SocketEnd::Closed;
                    self.plan.on_socket_over(socket, &end, self.now);
                }
                Action::AskSeeds { .. }
                | Action::AskForAddresses { .. }
                | Action::SendAddresses { .. }
                | Action::Tell(_) => {}
            }
        }
    }

    fn note_dial(&mut self, address: SocketAddr) {
        self.dialed
            .entry(address)
            .or_default()
            .push(self.now.instant);
    }
}
