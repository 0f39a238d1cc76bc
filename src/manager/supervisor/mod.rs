//! The thread that owns the mutable state of a manager and executes the decisions of its plan.

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
use log::Level;

pub(super) use self::calls::Caller;
use self::calls::{Calls, calls};
use self::inbound::InboundSockets;
use self::keeper::LifeNews;
use self::seeds::SeedRound;
use super::ManagerConfig;
use super::clock::Now;
use super::listener::{Listener, ListenerNews};
use super::plan::Plan;
use super::shared::Shared;
use super::store_thread::StoreThread;
use crate::connection::PendingRestart;
use crate::event::ControlEvent;
use crate::peers::{PeerId, StoreError};
use crate::session::{ConfigError, Direction, DisconnectReason};

/// Minimum interval between writes to the store.
const STORE_EVERY: Duration = Duration::from_secs(1);
/// Maximum number of queued connection events handled at once, so that calls are not delayed.
const NEWS_AT_ONCE: usize = 64;

/// The state of the supervisor thread. It holds no lock while it waits, and does no file I/O.
pub(super) struct ManagerSupervisor {
    pub(super) shared: Arc<Shared>,
    pub(super) plan: Plan,
    /// The scheduled restarts of connections.
    waiting: HashMap<PeerId, PendingRestart>,
    /// The inbound connections that are being established.
    inbound: InboundSockets,
    news: Receiver<LifeNews>,
    news_sender: Sender<LifeNews>,
    listener: Option<Listener>,
    /// The events of the listener, while it is enabled.
    accepted: Option<Receiver<ListenerNews>>,
    /// The address to which the listener was bound last, including its port.
    pub(super) listening: Option<SocketAddr>,
    /// The seed lookup in progress.
    seeds: Option<SeedRound>,
    store: Option<StoreThread>,
    store_failures: Receiver<StoreError>,
    store_at: Instant,
    calls: Calls,
    /// The deadline of the shutdown, once it is requested.
    pub(super) stop_by: Option<Instant>,
    end: End,
}

/// The result of a shutdown.
#[derive(Debug, Default)]
pub(super) struct End {
    /// The components that did not end in time.
    pub(super) left: Vec<&'static str>,
    /// The failure of the final save, if any.
    pub(super) store: Option<StoreError>,
}

/// The parts of a new supervisor.
pub(super) struct Beginning {
    pub(super) shared: Arc<Shared>,
    pub(super) plan: Plan,
    pub(super) store: Option<StoreThread>,
    pub(super) store_failures: Receiver<StoreError>,
}

impl ManagerSupervisor {
    /// Creates the supervisor and the sender of calls to it.
    pub(super) fn new(beginning: Beginning) -> (Self, Caller) {
        let (news_sender, news) = unbounded();
        let (caller, calls) = calls();
        let supervisor = Self {
            shared: beginning.shared,
            plan: beginning.plan,
            waiting: HashMap::new(),
            inbound: InboundSockets::default(),
            news,
            news_sender,
            listener: None,
            accepted: None,
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

    /// Runs until the shutdown and returns its result.
    pub(super) fn run(mut self) -> End {
        self.record_life("manager started");
        self.listen();
        while self.stop_by.is_none() {
            let now = Now::read();
            self.admit_pending(now);
            self.plan.on_timeout(now);
            self.carry_out();
            self.announce_transactions(now.instant);
            self.shared.bus.report_lag(false);
            self.store_changes(now);
            self.wait(now);
        }
        self.stop();
        self.record_life("manager stopped");
        self.end
    }

    /// Logs a change of the manager itself.
    fn record_life(&self, what: &str) {
        self.shared.log(Level::Info).write(format_args!("{what}"));
    }

    /// Waits for an event or the next deadline, and handles the event.
    fn wait(&mut self, now: Now) {
        let wait = self.next_deadline().saturating_duration_since(now.instant);
        let seed_news = self.seed_news();
        let nobody = never();
        let accepted = self.accepted.as_ref().filter(|_| self.inbound.is_ready());
        let accepted = accepted.unwrap_or(&nobody);
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
                    // The caller may have waited for an event that is still queued.
                    let news = self.news.try_iter().take(self.news.len());
                    let news = news.collect::<Vec<_>>();
                    news.into_iter().for_each(|news| self.on_news(news));
                    call(self);
                }
                // All callers were dropped without a shutdown.
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
        let inbound = self.inbound.retry_at();
        let store = self.store.as_ref().filter(|_| self.plan.has_changes());
        let store = store.map(|_| self.store_at);
        let transactions = self.shared.transactions.next_deadline();
        let others = [inbound, store, transactions];
        let others = others.into_iter().flatten();
        others.fold(self.plan.next_deadline(), Instant::min)
    }

    fn on_news(&mut self, news: LifeNews) {
        let now = Now::read();
        match news {
            LifeNews::Connected { peer_id, info } => {
                self.inbound.on_connected(peer_id);
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
            LifeNews::Classified(request) => self.inbound.add_request(request),
            LifeNews::SocketOver { peer_id, end } => self.on_socket_over(peer_id, &end, now),
            LifeNews::Rejecting(handle) => self.inbound.add_rejected(handle),
            LifeNews::Over { peer_id, reason } => {
                self.waiting.remove(&peer_id);
                if let Some(handle) = self.inbound.remove(peer_id) {
                    self.shared.counters.add_past(&handle.statistics());
                }
                self.plan.on_over(peer_id, &reason, now);
                if let Some(handle) = self.shared.connections.remove(peer_id) {
                    self.shared.counters.add_past(&handle.statistics());
                }
            }
        }
    }

    /// Passes pending changes to the store thread, at most once per [`STORE_EVERY`].
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
        let event = ControlEvent::StoreFailed { error };
        self.shared.log_event(&event);
        self.shared.bus.publish_control(&event);
    }

    /// Replaces the configuration of the manager and its connections. `config` must be valid.
    pub(super) fn update_config(&mut self, config: Arc<ManagerConfig>) -> Result<(), ConfigError> {
        ConfigError::unless(
            self.plan.fixed() <= config.max_connections,
            "max_connections",
            &config.max_connections,
            "at least the number of fixed peers",
        )?;
        let before = self.shared.config();
        *self.shared.config.write() = config.clone();
        self.shared.log_level.set(config.log_level);
        self.shared.memory.set_max(config.max_payload_memory);
        self.shared.slots.set_max(config.max_connections);
        for handle in self.shared.connections.all() {
            let mut connection = config.connection.clone();
            if handle.direction() == Direction::Inbound {
                connection = inbound::config(&config);
            }
            // Succeeds: the configuration is valid, and network and magic are unchanged.
            let _ = handle.update_config(connection);
        }
        let inbound = inbound::config(&config);
        self.inbound.set_timeout(inbound.session.handshake_timeout);
        self.plan.update_config(config.clone(), Now::read());
        self.record_life("configuration updated");
        let listens_elsewhere = config.listen_address() != before.listen_address();
        // A bound listener does not use the retry delay, and a restart would reset its backlog.
        let waits_otherwise =
            self.listening.is_none() && config.listener.bind_retry != before.listener.bind_retry;
        if listens_elsewhere || waits_otherwise {
            self.listen();
        }
        Ok(())
    }

    fn close(&mut self, peer_id: PeerId, reason: DisconnectReason) {
        if let Some(next) = self.waiting.remove(&peer_id) {
            return next.cancel(reason);
        }
        // An admitted connection may not have been registered yet. It cannot be started then.
        let is_missing = || self.inbound.close_socket(peer_id, reason.clone());
        if let Some(handle) = self.shared.connections.get_or_else(peer_id, is_missing) {
            handle.stop(reason);
        }
    }
}
