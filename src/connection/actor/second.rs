//! Whether a peer has a second stream, and the thread that reads it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::links::Link;
use crate::connection::event_bus::Delivery;
use crate::connection::stop::Stop;
use crate::session::DisconnectReason;

/// The second stream of one peer, from life to life. Every change is made under one lock, so that a stream never outlives its peer.
#[derive(Default)]
pub(super) struct SecondStream {
    state: Mutex<State>,
    /// Whether its thread reads nothing on purpose at this moment: what the peer answers may wait in the socket.
    pauses: AtomicBool,
}

#[derive(Default)]
enum State {
    /// There is none, and may be none.
    #[default]
    Closed,
    /// The peer may ask for one from now on. It begins as soon as all that comes before it has been told.
    Announced,
    /// There may be one; its events go out by this.
    Awaited(Box<Delivery>),
    /// It has a thread.
    Begun {
        stop: Arc<Stop>,
        /// There once TCP stands.
        link: Option<Arc<Link>>,
        /// Whether both sides have agreed on it.
        is_open: bool,
        thread: Option<JoinHandle<Delivery>>,
    },
}

/// Why a second stream cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotBegun {
    /// There may be one in a moment.
    NotReady,
    /// There may be none.
    Closed,
    /// There is one.
    Taken,
    /// Whoever was to begin it could not.
    Failed,
}

impl SecondStream {
    /// The peer is about to hear that it may have one.
    pub(super) fn announce(&self) {
        *self.state.lock() = State::Announced;
    }

    /// From now on there may be one.
    pub(super) fn allow(&self, delivery: Delivery) {
        *self.state.lock() = State::Awaited(Box::new(delivery));
    }

    /// Whether there may be one, and is none.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(&*self.state.lock(), State::Announced | State::Awaited(_))
    }

    /// Whether it can begin in a moment, and not yet.
    pub(super) fn is_announced(&self) -> bool {
        matches!(&*self.state.lock(), State::Announced)
    }

    /// Lets it begin, with the thread that `begin` starts.
    pub(super) fn begin(
        &self,
        begin: impl FnOnce(Delivery, Arc<Stop>) -> io::Result<(Option<Arc<Link>>, JoinHandle<Delivery>)>,
    ) -> Result<(), NotBegun> {
        let mut state = self.state.lock();
        match std::mem::take(&mut *state) {
            State::Awaited(delivery) => {
                let stop = Arc::new(Stop::new());
                let begun = begin(*delivery, stop.clone());
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

    /// TCP stands: from here on the end of the peer shuts the socket down. Returns whether the peer has not ended meanwhile.
    pub(super) fn set_link(&self, new: &Arc<Link>) -> bool {
        match &mut *self.state.lock() {
            State::Begun { stop, link, .. } if !stop.is_set() => {
                *link = Some(new.clone());
                true
            }
            _ => false,
        }
    }

    /// Both sides have agreed on it. Returns whether the peer has not ended meanwhile.
    pub(super) fn set_open(&self) -> bool {
        match &mut *self.state.lock() {
            State::Begun { stop, is_open, .. } if !stop.is_set() => {
                *is_open = true;
                true
            }
            _ => false,
        }
    }

    /// There will be no stream after all: nobody holds its socket any more.
    pub(super) fn forget_link(&self) {
        if let State::Begun { link, .. } = &mut *self.state.lock() {
            *link = None;
        }
    }

    /// Its socket, if it has one.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        match &*self.state.lock() {
            State::Begun { link, .. } => link.clone(),
            State::Closed | State::Announced | State::Awaited(_) => None,
        }
    }

    /// Tells its thread to end. Never blocks.
    pub(super) fn stop(&self, reason: &DisconnectReason) {
        if let State::Begun { stop, link, .. } = &*self.state.lock() {
            stop.set(reason.clone());
            if let Some(link) = link {
                link.outbox.close(reason.clone());
            }
        }
    }

    /// The peer has cut its first connection: lets what came over the second one be read, and waits for its thread. Returns the events that
    /// wait for subscribers.
    pub(super) fn cut(&self, reason: &DisconnectReason) -> Option<Delivery> {
        if let State::Begun {
            stop,
            link,
            is_open,
            ..
        } = &*self.state.lock()
        {
            if !is_open {
                // Nothing has come, and nobody is to be told that it was refused.
                stop.set(reason.clone());
            }
            if let Some(link) = link {
                link.outbox.close(reason.clone());
            }
        }
        self.join()
    }

    /// Ends it, and waits for its thread, which has no further wait. Returns the events that wait for subscribers.
    pub(super) fn end(&self, reason: &DisconnectReason) -> Option<Delivery> {
        self.stop(reason);
        self.join()
    }

    fn join(&self) -> Option<Delivery> {
        let thread = match &mut *self.state.lock() {
            State::Begun { thread, .. } => thread.take(),
            State::Closed | State::Announced | State::Awaited(_) => None,
        };
        // A panic has ended the session already. It stays `Begun` meanwhile, so that a stop reaches it.
        let delivery = thread.and_then(|thread| thread.join().ok());
        *self.state.lock() = State::Closed;
        delivery
    }

    /// Its thread begins or ends a pause in which it reads nothing on purpose.
    pub(super) fn set_pauses(&self, pauses: bool) {
        self.pauses.store(pauses, SeqCst);
    }

    /// Whether its thread reads nothing on purpose: a clock that waits for an answer has to stand still.
    pub(super) fn pauses(&self) -> bool {
        self.pauses.load(SeqCst)
    }
}
