//! The one signal that ends every wait of a peer.

use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use crate::session::DisconnectReason;

/// Nothing is ever sent: the channel's end is the signal.
#[derive(Debug)]
pub(super) enum Never {}

/// Set once, with a reason; every wait that selects on [`Stop::signal`] ends then.
#[derive(Debug)]
pub(super) struct Stop {
    state: Mutex<State>,
    /// Whether there is a reason: to be asked without the lock.
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

    /// Gives the signal. The first reason counts.
    pub(super) fn set(&self, reason: DisconnectReason) {
        let mut state = self.state.lock();
        state.reason.get_or_insert(reason);
        state.sender = None;
        self.is_set.store(true, Release);
    }

    /// Why to stop, once the signal is given.
    pub(super) fn reason(&self) -> Option<DisconnectReason> {
        if !self.is_set() {
            return None;
        }
        self.state.lock().reason.clone()
    }

    /// Whether the signal is given. Costs nothing.
    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Acquire)
    }

    /// A channel that ends when the signal is given.
    pub(super) fn signal(&self) -> &Receiver<Never> {
        &self.signal
    }

    /// Waits for the signal, at most so long; returns whether it was given.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        match self.signal.recv_timeout(timeout) {
            Ok(never) => match never {},
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }
}
