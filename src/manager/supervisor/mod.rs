//! The thread that owns all changing state of a manager, and carries out what its plan decides.

mod actions;
mod calls;
mod heard;
mod inbound;
mod keeper;
mod offering;
mod seeds;
mod stopping;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select, unbounded};

pub(super) use self::calls::Caller;
use self::calls::{Calls, calls};
use self::inbound::Newcomer;
use self::keeper::LifeNews;
use self::seeds::SeedRound;
use super::ManagerConfig;
use super::clock::Now;
use super::listener::{Listener, ListenerNews};
use super::plan::Plan;
use super::shared::Shared;
use super::store_thread::StoreThread;
use crate::connection::{Announcer, NextLife, PeerConnectionHandle};
use crate::error::WithSources;
use crate::event::ControlEvent;
use crate::log_level::record;
use crate::peers::{PeerId, StoreError};
use crate::session::{ConfigError, Direction, DisconnectReason};

/// How often changes are handed to the store at most.
const STORE_EVERY: Duration = Duration::from_secs(1);
/// How much news of connections is taken in before actions are carried out and the program is listened to.
const NEWS_AT_ONCE: usize = 64;

/// What the supervisor's thread owns. No lock is held while it waits, and it does no file I/O.
pub(super) struct Supervisor {
    pub(super) shared: Arc<Shared>,
    pub(super) plan: Plan,
    announcer: Announcer,
    /// The connections whose next life is awaited.
    waiting: HashMap<PeerId, NextLife>,
    /// Those that are being turned away.
    turned_away: HashMap<PeerId, PeerConnectionHandle>,
    /// Those that may be second streams of peers, and have no place.
    stream_candidates: HashMap<PeerId, PeerConnectionHandle>,
    news: Receiver<LifeNews>,
    news_sender: Sender<LifeNews>,
    listener: Option<Listener>,
    /// There while the listener's address is to be used.
    accepted: Option<Receiver<ListenerNews>>,
    /// Who was accepted and has to wait.
    newcomer: Option<Newcomer>,
    /// Where peers can dial us, while they can.
    pub(super) listening: Option<SocketAddr>,
    /// There while seeds are being asked.
    seeds: Option<SeedRound>,
    store: Option<StoreThread>,
    store_failures: Receiver<StoreError>,
    store_at: Instant,
    calls: Calls,
    /// When to stop, once that is wanted.
    pub(super) stop_by: Option<Instant>,
    end: End,
}

/// How a manager has ended.
#[derive(Debug, Default)]
pub(super) struct End {
    /// What had not ended in time.
    pub(super) left: Vec<&'static str>,
    /// What the store could not do at last.
    pub(super) store: Option<StoreError>,
}

/// What a supervisor begins with.
pub(super) struct Beginning {
    pub(super) shared: Arc<Shared>,
    pub(super) plan: Plan,
    pub(super) announcer: Announcer,
    pub(super) store: Option<StoreThread>,
    pub(super) store_failures: Receiver<StoreError>,
}

impl Supervisor {
    /// What the thread will run, and where calls for it are put.
    pub(super) fn new(beginning: Beginning) -> (Self, Caller) {
        let (news_sender, news) = unbounded();
        let (caller, calls) = calls();
        let supervisor = Self {
            shared: beginning.shared,
            plan: beginning.plan,
            announcer: beginning.announcer,
            waiting: HashMap::new(),
            turned_away: HashMap::new(),
            stream_candidates: HashMap::new(),
            news,
            news_sender,
            listener: None,
            accepted: None,
            newcomer: None,
            listening: None,
            seeds: None,
            store: beginning.store,
            store_failures: beginning.store_failures,
            store_at: Instant::now(),
            calls,
            stop_by: None,
            end: End::default(),
        };
        (supervisor, caller)
    }

    /// Runs until the program wants it to stop. Returns how that went.
    pub(super) fn run(mut self) -> End {
        self.record_life("the manager has started");
        self.listen();
        while self.stop_by.is_none() {
            let now = Now::read();
            self.look_at_newcomer(now);
            self.plan.on_timeout(now);
            self.carry_out();
            self.announce_transactions(now.instant);
            self.announcer.on_wake();
            self.store_changes(now);
            self.wait(now);
        }
        self.stop();
        self.record_life("the manager has stopped");
        self.announcer.finish();
        self.end
    }

    /// Writes a record about the manager itself.
    fn record_life(&self, what: &str) {
        record!(
            self.shared.log_level,
            Info,
            network:% = self.shared.config().network();
            "{what}"
        );
    }

    /// Waits until something happens or is due, and takes it in.
    fn wait(&mut self, now: Now) {
        let wait = self.next_deadline().saturating_duration_since(now.instant);
        let seed_news = self.seed_news();
        let nobody = never();
        let accepted = match (&self.newcomer, &self.accepted) {
            (None, Some(accepted)) => accepted,
            _ => &nobody,
        };
        select! {
            recv(self.news) -> news => {
                let more = self.news.try_iter().take(NEWS_AT_ONCE).collect::<Vec<_>>();
                news.into_iter().chain(more).for_each(|news| self.on_news(news));
            }
            recv(accepted) -> news => match news {
                Ok(news) => self.on_listener(news),
                Err(_) => self.accepted = None,
            },
            recv(self.calls.waiting) -> call => match call {
                Ok(call) => {
                    // Whoever asks may have waited for what has been told by now.
                    let news = self.news.try_iter().take(self.news.len());
                    let news = news.collect::<Vec<_>>();
                    news.into_iter().for_each(|news| self.on_news(news));
                    call(self);
                }
                // The program has let go of the manager without a word.
                Err(_) => self.stop_by = Some(now.instant),
            },
            recv(seed_news) -> news => self.on_seed_news(news.ok()),
            recv(self.store_failures) -> failure => match failure {
                Ok(error) => self.on_store_failure(error),
                Err(_) => self.store_failures = never(),
            },
            default(wait) => {}
        }
    }

    fn next_deadline(&self) -> Instant {
        let newcomer = self.newcomer.as_ref().and_then(Newcomer::look_at);
        let store = self.store.as_ref().filter(|_| self.plan.has_changes());
        let store = store.map(|_| self.store_at);
        let transactions = self.shared.transactions.next_deadline();
        let others = [newcomer, store, transactions, self.announcer.next_wake()];
        let others = others.into_iter().flatten();
        others.fold(self.plan.next_deadline(), Instant::min)
    }

    fn on_news(&mut self, news: LifeNews) {
        let now = Now::read();
        match news {
            LifeNews::Connected { peer_id, info } => {
                self.plan.on_connected(peer_id, &info, now);
                self.announce_transactions_to(peer_id, now.instant);
            }
            LifeNews::AskedForTransactions { peer_id, offers } => {
                self.serve(peer_id, &offers, now.instant);
            }
            LifeNews::Heard { peer_id, entries } => self.plan.on_heard(peer_id, &entries, now),
            LifeNews::AskedForAddresses { peer_id } => {
                self.plan.on_asked_for_addresses(peer_id, now);
            }
            LifeNews::Waiting { due, reason, next } => {
                let peer_id = next.peer_id();
                self.plan.on_waiting(peer_id, due, &reason, now);
                self.waiting.insert(peer_id, next);
            }
            LifeNews::Over { peer_id, reason } => {
                self.waiting.remove(&peer_id);
                self.turned_away.remove(&peer_id);
                if let Some(candidate) = self.stream_candidates.remove(&peer_id) {
                    self.on_candidate_over(&candidate, &reason);
                }
                self.plan.on_over(peer_id, &reason, now);
                if let Some(handle) = self.shared.connections.remove(peer_id) {
                    self.shared.counters.add_past(&handle.statistics());
                }
            }
        }
    }

    /// Hands the store what has become different, not too often.
    fn store_changes(&mut self, now: Now) {
        if now.instant < self.store_at || !self.plan.has_changes() {
            return;
        }
        self.store_at = now.instant + STORE_EVERY;
        let changes = self.plan.take_changes();
        if let Some(store) = &self.store {
            store.write(changes);
        }
    }

    fn on_store_failure(&mut self, error: StoreError) {
        record!(
            self.shared.log_level,
            Error,
            network:% = self.shared.config().network(),
            error:% = WithSources(&error);
            "the store of peers: {}",
            WithSources(&error)
        );
        self.announcer.tell(ControlEvent::StoreFailed { error });
    }

    /// Another configuration, which has been checked, holds from now on, for everything.
    pub(super) fn update_config(&mut self, config: Arc<ManagerConfig>) -> Result<(), ConfigError> {
        ConfigError::unless(
            self.plan.fixed() <= config.max_connections,
            "max_connections",
            &config.max_connections,
            "at least as many as there are fixed peers are needed",
        )?;
        let before = self.shared.config();
        *self.shared.config.write() = config.clone();
        self.shared.log_level.set(config.log_level);
        self.shared.memory.set_max(config.max_payload_memory);
        self.shared.slots.set_max(config.max_connections);
        self.announcer.set_limits(&config.connection);
        for handle in self.shared.connections.all() {
            let mut connection = config.connection.clone();
            if handle.direction() == Direction::Inbound {
                connection = inbound::config(&config);
            }
            // It has been checked, and network and magic are the same.
            let _ = handle.update_config(connection);
        }
        self.plan.update_config(config.clone(), Now::read());
        self.record_life("another configuration holds from now on");
        let listens_elsewhere = config.listen_address() != before.listen_address();
        // One that listens has no use for the other pause, and would cut off who waits to be accepted.
        let waits_otherwise =
            self.listening.is_none() && config.listener.bind_retry != before.listener.bind_retry;
        if listens_elsewhere || waits_otherwise {
            self.listen();
        }
        Ok(())
    }

    fn close(&mut self, peer_id: PeerId, reason: DisconnectReason) {
        if let Some(next) = self.waiting.remove(&peer_id) {
            next.give_up(reason);
        } else if let Some(handle) = self.shared.connections.get(peer_id) {
            handle.stop(reason);
        }
    }
}
