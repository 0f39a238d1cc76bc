//! Cancellation signal for all blocking operations of a connection.

use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use crate::session::DisconnectReason;

/// The item type of a channel that never sends: its close is the signal.
#[derive(Debug)]
pub(super) enum Never {}

/// A cancellation signal with a reason. Setting it ends each wait that selects on [`Stop::signal`].
#[derive(Debug)]
pub(super) struct Stop {
    state: Mutex<State>,
    /// Mirrors `state.reason.is_some()`, readable without the lock.
    is_set: AtomicBool,
    signal: Receiver<Never>,
}

#[derive(Debug)]
struct State {
    reason: Option<DisconnectReason>,
    sender: Option<Sender<Never>>,
}

impl Stop {
    pub(super) fn new() -> Self {
        let (sender, signal) = bounded(0);
        let state = Mutex::new(State {
            reason: None,
            sender: Some(sender),
        });
        Self {
            state,
            is_set: AtomicBool::new(false),
            signal,
        }
    }

    /// Sets the signal. The first reason is kept.
    pub(super) fn set(&self, reason: DisconnectReason) {
        let mut state = self.state.lock();
        state.reason.get_or_insert(reason);
        state.sender = None;
        self.is_set.store(true, Release);
    }

    /// Returns the reason, or `None` if the signal is not set.
    pub(super) fn reason(&self) -> Option<DisconnectReason> {
        if !self.is_set() {
            return None;
        }
        self.state.lock().reason.clone()
    }

    /// Returns whether the signal is set. Does not lock.
    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Acquire)
    }

    /// Returns a channel that closes when the signal is set.
    pub(super) fn signal(&self) -> &Receiver<Never> {
        &self.signal
    }

    /// Waits for the signal for at most `timeout`. Returns whether it was set.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        match self.signal.recv_timeout(timeout) {
            Ok(never) => match never {},
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }
}
