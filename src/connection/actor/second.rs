//! The state of a peer's second stream and the thread that reads it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::peer_streams::PeerStream;
use crate::connection::stop::Stop;
use crate::session::DisconnectReason;

/// The second stream of a peer, over all restarts.
///
/// Every change is made under one lock, so that a stream cannot outlive its peer.
#[derive(Default)]
pub(super) struct SecondStream {
    state: Mutex<State>,
    /// Whether its thread has paused reading. A response of the peer may then be in the socket.
    pauses: AtomicBool,
}

#[derive(Default)]
enum State {
    /// There is no second stream, and none may be opened.
    #[default]
    Closed,
    /// The peer may request a second stream. It starts once all earlier events are emitted.
    Announced,
    /// A second stream may start.
    Awaited,
    /// The stream has a thread.
    Begun {
        stop: Arc<Stop>,
        /// Set once the TCP connection is established.
        link: Option<Arc<PeerStream>>,
        /// Whether both sides have agreed on the stream.
        is_open: bool,
        thread: Option<JoinHandle<()>>,
    },
}

/// Why a second stream cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotBegun {
    /// Earlier events must be emitted first.
    NotReady,
    /// No second stream may be opened.
    Closed,
    /// A second stream exists.
    Taken,
    /// The caller failed to start the stream.
    Failed,
}

impl SecondStream {
    /// Marks the stream as announced. Must be called before the peer receives the association id.
    pub(super) fn announce(&self) {
        *self.state.lock() = State::Announced;
    }

    /// Allows a second stream to start.
    pub(super) fn allow(&self) {
        *self.state.lock() = State::Awaited;
    }

    /// Returns whether a second stream may be opened and none exists.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(&*self.state.lock(), State::Announced | State::Awaited)
    }

    /// Returns whether a second stream may start once earlier events are emitted.
    pub(super) fn is_announced(&self) -> bool {
        matches!(&*self.state.lock(), State::Announced)
    }

    /// Starts the stream with the thread that `begin` spawns.
    pub(super) fn begin(
        &self,
        begin: impl FnOnce(Arc<Stop>) -> io::Result<(Option<Arc<PeerStream>>, JoinHandle<()>)>,
    ) -> Result<(), NotBegun> {
        let mut state = self.state.lock();
        match std::mem::take(&mut *state) {
            State::Awaited => {
                let stop = Arc::new(Stop::new());
                let begun = begin(stop.clone());
                let (link, thread) = begun.map_err(|_| NotBegun::Failed)?;
                *state = State::Begun {
                    stop,
                    link,
                    is_open: false,
                    thread: Some(thread),
                };
                Ok(())
            }
            begun @ State::Begun { .. } => {
                *state = begun;
                Err(NotBegun::Taken)
            }
            State::Announced => {
                *state = State::Announced;
                Err(NotBegun::NotReady)
            }
            State::Closed => Err(NotBegun::Closed),
        }
    }

    /// Stores the established connection, so that closing the peer shuts its socket down. Returns
    /// `false` if the peer has ended.
    pub(super) fn set_link(&self, new: &Arc<PeerStream>) -> bool {
        match &mut *self.state.lock() {
            State::Begun { stop, link, .. } if !stop.is_set() => {
                *link = Some(new.clone());
                true
            }
            _ => false,
        }
    }

    /// Marks the stream as open. Returns `false` if the peer has ended.
    pub(super) fn set_open(&self) -> bool {
        match &mut *self.state.lock() {
            State::Begun { stop, is_open, .. } if !stop.is_set() => {
                *is_open = true;
                true
            }
            _ => false,
        }
    }

    /// Removes the connection of a refused stream, which releases its socket.
    pub(super) fn forget_link(&self) {
        if let State::Begun { link, .. } = &mut *self.state.lock() {
            *link = None;
        }
    }

    /// Returns the connection of the stream, if it has one.
    pub(super) fn link(&self) -> Option<Arc<PeerStream>> {
        match &*self.state.lock() {
            State::Begun { link, .. } => link.clone(),
            State::Closed | State::Announced | State::Awaited => None,
        }
    }

    /// Signals the thread of the stream to end. Does not block.
    pub(super) fn stop(&self, reason: &DisconnectReason) {
        if let State::Begun { stop, link, .. } = &*self.state.lock() {
            stop.set(reason.clone());
            if let Some(link) = link {
                link.outbox.close(reason.clone());
            }
        }
    }

    /// Handles the close of the first connection by the peer. Waits until the thread has read the
    /// data that arrived on the stream.
    pub(super) fn cut(&self, reason: &DisconnectReason) {
        if let State::Begun {
            stop,
            link,
            is_open,
            ..
        } = &*self.state.lock()
        {
            if !is_open {
                // No data has arrived, and a refusal must not be reported.
                stop.set(reason.clone());
            }
            if let Some(link) = link {
                link.outbox.close(reason.clone());
            }
        }
        self.join();
    }

    /// Ends the stream and waits for its thread, which does not block any more.
    pub(super) fn end(&self, reason: &DisconnectReason) {
        self.stop(reason);
        self.join();
    }

    fn join(&self) {
        let thread = match &mut *self.state.lock() {
            State::Begun { thread, .. } => thread.take(),
            State::Closed | State::Announced | State::Awaited => None,
        };
        // A panic has already ended the session. The state stays `Begun` during the join, so that a
        // stop reaches the thread.
        let _ = thread.map(JoinHandle::join);
        *self.state.lock() = State::Closed;
    }

    /// Records whether the thread of the stream has paused reading.
    pub(super) fn set_pauses(&self, pauses: bool) {
        self.pauses.store(pauses, SeqCst);
    }

    /// Returns whether the thread of the stream has paused reading. Timeouts of the peer must be
    /// suspended then.
    pub(super) fn pauses(&self) -> bool {
        self.pauses.load(SeqCst)
    }
}
