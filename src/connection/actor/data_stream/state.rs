//! Whether a data stream may start, runs or has ended.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::bounded;
use parking_lot::{Condvar, Mutex};

use super::super::active_connection::ActiveConnection;
use crate::connection::close_cell::CloseCell;
use crate::connection::waker::StreamWakers;
use crate::wire::StreamType;

/// The data stream of a connection, which starts at most once.
///
/// Every change is made under one lock, so that a stream cannot outlive its connection.
#[derive(Default)]
pub(in crate::connection::actor) struct DataStream {
    state: Mutex<DataStreamState>,
    /// Notified when the stream has ended.
    ended: Condvar,
}

#[derive(Default)]
struct DataStreamState {
    phase: Phase,
    /// The time up to which the data of the peer was read, while the stream is open.
    read_until: Option<Instant>,
    /// Whether everything that arrived was processed, and the thread waits for more.
    is_idle: bool,
    /// The thread of the stream.
    thread: Option<JoinHandle<()>>,
    /// The wakers of threads that wait for [`Phase::Ready`].
    waiting: Vec<StreamWakers>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// There is no data stream, and none may start any more.
    #[default]
    Closed,
    /// The peer may request a data stream. It starts once all earlier events are emitted.
    Offered,
    /// A data stream may start.
    Ready,
    Running,
}

/// Why a data stream cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartError {
    /// Earlier events were not emitted in time.
    NotReady,
    /// No data stream may be opened.
    Closed,
    /// A data stream exists.
    AlreadyRunning,
}

impl DataStream {
    /// Lets the peer request the stream. Must be called before the peer receives the association
    /// id.
    pub(in crate::connection::actor) fn set_offered(&self) {
        self.state.lock().phase = Phase::Offered;
    }

    /// Lets the stream start. Must be called after the events of the handshake were emitted.
    pub(in crate::connection::actor) fn set_ready(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Ready;
        state.wake_waiting();
    }

    /// Waits until the stream may start or is closed, until `deadline` at most.
    ///
    /// A reason in `close`, which belongs to the waiting thread, ends the wait as well.
    pub(super) fn wait_until_ready(&self, close: &CloseCell, deadline: Instant) {
        let wakers = close.wakers();
        self.state.lock().waiting.push(wakers.clone());
        let waits = || self.state.lock().phase == Phase::Offered && close.is_open();
        while waits() && wakers.of(StreamType::General).wait_until(deadline) {}
        let is_other = |other: &StreamWakers| !other.is_same(wakers);
        self.state.lock().waiting.retain(is_other);
    }

    /// Waits until the stream has ended, and lets no other one start.
    ///
    /// The caller must have closed the connection, so that the thread of the stream does not block.
    pub(in crate::connection::actor) fn join(&self) {
        let mut state = self.state.lock();
        while state.phase == Phase::Running {
            self.ended.wait(&mut state);
        }
        state.phase = Phase::Closed;
        state.wake_waiting();
        let thread = state.thread.take();
        drop(state);
        if let Some(thread) = thread {
            // A panic was reported as the reason of the connection.
            let _ = thread.join();
        }
    }

    /// Records that the data that arrived on the stream until `time` was read.
    pub(in crate::connection::actor) fn set_read_until(&self, time: Instant) {
        self.state.lock().read_until = Some(time);
    }

    /// Records whether everything that arrived was processed, and the thread of the stream waits for
    /// more. It must not read before it records that the wait has ended.
    pub(in crate::connection::actor) fn set_idle(&self, is_idle: bool) {
        self.state.lock().is_idle = is_idle;
    }

    /// Returns the time up to which the data that arrived on the stream was read, or `None` if there
    /// is no open stream. It does not advance while the thread of the stream has paused reading.
    ///
    /// `now` is returned for an idle stream without data in its socket, which `has_data` checks.
    pub(in crate::connection::actor) fn read_until(
        &self,
        now: Instant,
        has_data: impl FnOnce() -> bool,
    ) -> Option<Instant> {
        let state = self.state.lock();
        // The thread cannot leave its wait, and read the data, while the state is locked.
        if state.is_idle && !has_data() {
            return Some(now);
        }
        state.read_until
    }
}

impl DataStreamState {
    fn wake_waiting(&self) {
        let waiting = self.waiting.iter();
        waiting.for_each(|wakers| wakers.of(StreamType::General).wake());
    }
}

/// The right to run the data stream of a connection. Dropping it marks the stream as ended.
///
/// The connection waits for that at its end, on whichever thread the stream runs.
pub(super) struct DataStreamGuard {
    connection: Arc<ActiveConnection>,
}

impl DataStreamGuard {
    /// Starts the data stream of `connection`.
    pub(super) fn start(connection: &Arc<ActiveConnection>) -> Result<Self, StartError> {
        let mut state = connection.data_stream.state.lock();
        match state.phase {
            Phase::Ready => {
                state.phase = Phase::Running;
                let connection = connection.clone();
                Ok(Self { connection })
            }
            Phase::Offered => Err(StartError::NotReady),
            Phase::Running => Err(StartError::AlreadyRunning),
            Phase::Closed => Err(StartError::Closed),
        }
    }

    /// Calls `run` on a new thread, which the connection joins at its end.
    pub(super) fn spawn(
        self,
        name: String,
        run: impl FnOnce(Self) + Send + 'static,
    ) -> io::Result<()> {
        let (sender, guard) = bounded(1);
        let thread = thread::Builder::new()
            .name(name)
            .stack_size(256 * 1024)
            .spawn(move || guard.recv().map_or((), run))?;
        // Stored before the thread has the guard, so that the connection cannot miss it.
        self.set_thread(thread);
        // Cannot fail, because the thread receives before it ends.
        let _ = sender.send(self);
        Ok(())
    }

    /// Sets the thread that runs the stream, for the connection to join.
    pub(super) fn set_thread(&self, thread: JoinHandle<()>) {
        self.connection.data_stream.state.lock().thread = Some(thread);
    }

    pub(super) fn connection(&self) -> &Arc<ActiveConnection> {
        &self.connection
    }
}

impl Drop for DataStreamGuard {
    fn drop(&mut self) {
        let data_stream = &self.connection.data_stream;
        let mut state = data_stream.state.lock();
        state.phase = Phase::Closed;
        state.read_until = None;
        state.is_idle = false;
        drop(state);
        data_stream.ended.notify_all();
    }
}
