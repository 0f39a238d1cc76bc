//! The one signal that ends every wait of a peer.

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
        Self { state, signal }
    }

    /// Gives the signal. The first reason counts.
    pub(super) fn set(&self, reason: DisconnectReason) {
        let mut state = self.state.lock();
        state.reason.get_or_insert(reason);
        state.sender = None;
    }

    /// Why to stop, once the signal is given.
    pub(super) fn reason(&self) -> Option<DisconnectReason> {
        self.state.lock().reason.clone()
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
