//! Accepted sockets: each becomes a connection to a new peer or a stream of a connected one.

use std::fmt;
use std::io::IoSlice;
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, select};
use log::Level;
use parking_lot::{Condvar, Mutex};

use super::actor::{
    AcceptedSocket, AttachError, ConnectionRun, StreamClaim, StreamSocket, claim_stream,
    connection_thread,
};
use super::close_cell::CloseCell;
use super::first_message::{FirstMessage, read_first};
use super::stream::Stream;
use super::{ConnectionObserver, PeerConnectionHandle, PeerConnectionOptions};
use crate::deadline::{deadline_after, saturating_add};
use crate::error::Error;
use crate::log_record::{Component, LogRecord};
use crate::peers::PeerRef;
use crate::session::{Direction, DisconnectReason, StreamError};
use crate::wire::{StreamType, encode_frame};

/// The maximum time for a rejected peer to read the reason.
const LINGER: Duration = Duration::from_secs(1);

/// An accepted socket until its first message.
///
/// Returned by [`PeerConnectionActor::accept`](super::PeerConnectionActor::accept). The handle
/// controls the socket until that decision. Afterwards the peer's [`PeerConnectionHandle`] does.
/// **Dropping it closes a socket that is still undecided**, and waits for its thread, like
/// [`cancel`](Self::cancel) and [`join`](Self::join). Safe to use from several threads.
#[must_use = "dropping the handle closes the socket unless its first message was received"]
pub struct InboundSocket {
    shared: Arc<SocketShared>,
}

struct SocketShared {
    address: SocketAddr,
    state: Mutex<SocketState>,
    /// Notified when `is_done` becomes true.
    done: Condvar,
    /// The reason of a cancellation, which shuts the socket down.
    close: CloseCell,
}

struct SocketState {
    /// The maximum time until the first message.
    timeout: Duration,
    /// The thread of the socket, unless the socket belongs to a peer.
    thread: Option<JoinHandle<()>>,
    thread_id: Option<ThreadId>,
    /// Whether the thread has ended, or continues as that of a peer.
    is_done: bool,
}

impl InboundSocket {
    /// Returns the socket address of the peer.
    pub fn peer_addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// Returns whether the outcome of the socket is still undecided.
    pub fn is_pending(&self) -> bool {
        !self.shared.state.lock().is_done
    }

    /// Closes the socket unless it belongs to a peer already. Does not block.
    ///
    /// An [`InboundConnection`] that was not started cannot be started any more.
    pub fn cancel(&self) {
        self.cancel_with(DisconnectReason::Requested);
    }

    pub(crate) fn cancel_with(&self, reason: DisconnectReason) {
        let state = self.shared.state.lock();
        if state.thread.is_some() {
            self.shared.close.close(reason);
        }
    }

    /// Changes the maximum time until the first message. Applies within a second.
    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.shared.state.lock().timeout = timeout;
    }

    /// Waits until the socket belongs to a peer, or its thread has ended. Does not close it.
    ///
    /// Blocks for at most the handshake timeout, the duration of the callback, and for a
    /// `createstrm` 5 s until the handshake of its peer is complete or 1 s to reject it. Returns
    /// immediately in the callback.
    pub fn join(&self) {
        self.join_by(None);
    }

    /// Like [`join`](Self::join), but waits until `deadline` at most. Returns whether the wait is
    /// over.
    pub(crate) fn join_until(&self, deadline: Instant) -> bool {
        self.join_by(Some(deadline))
    }

    fn join_by(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.shared.state.lock();
        if state.thread_id == Some(thread::current().id()) {
            return true;
        }
        while !state.is_done {
            match deadline {
                None => self.shared.done.wait(&mut state),
                Some(deadline)
                    if self
                        .shared
                        .done
                        .wait_until(&mut state, deadline)
                        .timed_out() =>
                {
                    return state.is_done;
                }
                Some(_) => {}
            }
        }
        let thread = state.thread.take();
        drop(state);
        if let Some(thread) = thread {
            // It has nothing left to do, and a panic was reported by the panic hook.
            let _ = thread.join();
        }
        true
    }
}

impl SocketShared {
    /// Returns the thread for the peer that owns the socket from now on. A later cancellation has
    /// no effect.
    ///
    /// # Errors
    ///
    /// The reason of an earlier cancellation.
    fn take_thread(&self) -> Result<JoinHandle<()>, DisconnectReason> {
        let mut state = self.state.lock();
        match self.close.reason() {
            Some(reason) => Err(reason),
            None => state.thread.take().ok_or(DisconnectReason::InternalError),
        }
    }
}

impl Drop for InboundSocket {
    fn drop(&mut self) {
        if self.is_pending() {
            self.cancel();
        }
        self.join();
    }
}

impl fmt::Debug for InboundSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundSocket")
            .field("address", &self.shared.address)
            .field("is_pending", &self.is_pending())
            .finish()
    }
}

/// The outcome of an accepted socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum InboundOutcome<'a> {
    /// The socket requests no stream of a connected peer. [`InboundConnection::start`] starts a
    /// connection on it. Dropping the value closes the socket.
    ///
    /// Reported also if the socket was closed, or the handshake timeout expired, before the first
    /// message. A started connection then ends with that reason.
    Connection(InboundConnection<'a>),
    /// The socket is the second stream of this peer.
    Stream(PeerRef),
    /// The socket requested a stream in an invalid way, received a `reject` and was closed.
    ///
    /// The reason is [`StreamRefused`](DisconnectReason::StreamRefused) or
    /// [`StreamAddressMismatch`](DisconnectReason::StreamAddressMismatch). A node bans the address
    /// for the latter.
    StreamRejected(DisconnectReason),
    /// [`InboundSocket::cancel`] closed the socket before its first message.
    Canceled,
}

/// An accepted socket of a new peer, whose connection can be started.
///
/// The connection runs on the thread of the socket once the callback has returned. Dropping the
/// value closes the socket without an event.
#[must_use = "the socket is closed unless the connection is started"]
pub struct InboundConnection<'a> {
    socket: &'a Arc<SocketShared>,
    options: Box<PeerConnectionOptions>,
    accepted: AcceptedSocket,
    has_ended: bool,
    /// The time at which the callback was called.
    reported_at: Instant,
    task: &'a mut SocketTask,
}

impl InboundConnection<'_> {
    /// Returns the socket address of the peer.
    pub fn peer_addr(&self) -> SocketAddr {
        self.socket.address
    }

    /// Returns the options of the connection.
    ///
    /// They were passed to [`PeerConnectionActor::accept`](super::PeerConnectionActor::accept) and
    /// can be changed. A slot, for example, can be reserved now instead of before the accept.
    pub fn options_mut(&mut self) -> &mut PeerConnectionOptions {
        &mut self.options
    }

    /// Starts the connection. `ConnectionEstablished` is emitted after the callback.
    ///
    /// Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::Disconnected`] if [`InboundSocket::cancel`] was called.
    /// - [`Error::Config`] if a value of the configuration is invalid.
    pub fn start(self) -> Result<PeerConnectionHandle, Error> {
        self.start_with(false, None)
    }

    /// Starts a connection that rejects the peer because no slot is free, like
    /// [`PeerConnectionActor::spawn_over_capacity`](super::PeerConnectionActor::spawn_over_capacity).
    ///
    /// Does not block.
    ///
    /// # Errors
    ///
    /// The errors of [`start`](Self::start).
    pub fn reject_over_capacity(self) -> Result<PeerConnectionHandle, Error> {
        self.start_with(true, None)
    }

    /// Starts the connection with an observer. If `over_capacity` is set, the peer is rejected.
    pub(crate) fn start_with(
        mut self,
        over_capacity: bool,
        observer: Option<Box<dyn ConnectionObserver>>,
    ) -> Result<PeerConnectionHandle, Error> {
        // The time until the decision of the owner is not part of the handshake.
        self.accepted.since += self.reported_at.elapsed();
        let mut run = ConnectionRun::new(self.options, over_capacity, observer, self.accepted)?;
        let thread = self.socket.take_thread();
        let thread = thread.map_err(|reason| Error::Disconnected {
            peer: self.socket.address.to_string(),
            reason,
        })?;
        let handle = run.begin_on(thread);
        *self.task = SocketTask::Connection(run);
        Ok(handle)
    }

    /// Returns whether the socket was closed, or timed out, before its first message. A connection
    /// would end at once.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Waits for a decision of the owner, until the socket is canceled or for at most `timeout`.
    pub(crate) fn wait_for<T>(&self, decision: &Receiver<T>, timeout: Duration) -> Option<T> {
        let deadline = at(deadline_after(timeout));
        let waker = self.socket.close.wakers().of(StreamType::General);
        while self.socket.close.is_open() {
            select! {
                recv(decision) -> decided => return decided.ok(),
                recv(waker.signal()) -> _ => {}
                recv(deadline) -> _ => return decision.try_recv().ok(),
            }
        }
        None
    }
}

impl fmt::Debug for InboundConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundConnection")
            .field("address", &self.socket.address)
            .finish_non_exhaustive()
    }
}

/// Spawns the thread that reads the first message of `tcp`.
pub(super) fn accept(
    tcp: TcpStream,
    options: PeerConnectionOptions,
    on_outcome: impl FnOnce(InboundOutcome<'_>) + Send + 'static,
) -> Result<InboundSocket, Error> {
    options.config.validate()?;
    let stream = AcceptedSocket::prepare(tcp, &options.config)?;
    let shared = Arc::new(SocketShared {
        address: stream.peer(),
        state: Mutex::new(SocketState {
            timeout: options.config.session.handshake_timeout,
            thread: None,
            thread_id: None,
            is_done: false,
        }),
        done: Condvar::new(),
        close: CloseCell::new(),
    });
    // The cell is new, so it has no reason.
    let _ = shared.close.add(&stream);
    let socket = InboundSocket {
        shared: shared.clone(),
    };
    let options = Box::new(options);
    // The thread takes its own handle under this lock.
    let mut state = socket.shared.state.lock();
    let spawned =
        connection_thread(stream.peer()).spawn(move || run(shared, stream, options, on_outcome));
    match spawned {
        Ok(thread) => {
            state.thread_id = Some(thread.thread().id());
            state.thread = Some(thread);
            drop(state);
            Ok(socket)
        }
        Err(error) => {
            state.is_done = true;
            Err(Error::Io {
                operation: "spawning the thread of an accepted socket".into(),
                error: error.into(),
            })
        }
    }
}

/// The task of the thread of a socket after the callback.
enum SocketTask {
    Nothing,
    Connection(ConnectionRun),
    Stream(StreamClaim, JoinHandle<()>),
}

fn run(
    shared: Arc<SocketShared>,
    stream: Arc<Stream>,
    options: Box<PeerConnectionOptions>,
    on_outcome: impl FnOnce(InboundOutcome<'_>),
) {
    let mut task = SocketTask::Nothing;
    {
        // A panic of the callback must not leave a caller of `join` waiting.
        let _done = SetDone(&shared);
        let decided = AssertUnwindSafe(|| decide(&shared, stream, options, on_outcome, &mut task));
        // The panic hook has reported a panic.
        let _ = catch_unwind(decided);
    }
    // The connection does not need its memory.
    drop(shared);
    match task {
        SocketTask::Nothing => {}
        SocketTask::Connection(connection) => connection.run(),
        SocketTask::Stream(claim, thread) => claim.run(thread),
    }
}

struct SetDone<'a>(&'a SocketShared);

impl Drop for SetDone<'_> {
    fn drop(&mut self) {
        self.0.state.lock().is_done = true;
        self.0.done.notify_all();
    }
}

/// Reads the first message, attaches or rejects a stream, and reports the outcome.
///
/// Not inlined, because its variables would take stack memory until the connection ends.
#[inline(never)]
fn decide(
    shared: &Arc<SocketShared>,
    stream: Arc<Stream>,
    options: Box<PeerConnectionOptions>,
    on_outcome: impl FnOnce(InboundOutcome<'_>),
    task: &mut SocketTask,
) {
    let accepted_at = Instant::now();
    let deadline = || saturating_add(accepted_at, shared.state.lock().timeout);
    let first = read_first(&stream, &options.config, deadline);
    if !shared.close.is_open() {
        return on_outcome(InboundOutcome::Canceled);
    }
    let received = first.received.len();
    let claimed = match first.message {
        FirstMessage::Other | FirstMessage::Missing => {
            return on_outcome(InboundOutcome::Connection(InboundConnection {
                socket: shared,
                options,
                has_ended: matches!(first.message, FirstMessage::Missing),
                accepted: AcceptedSocket {
                    socket: stream,
                    received: first.received,
                    end: first.end,
                    since: accepted_at,
                },
                reported_at: Instant::now(),
                task,
            }));
        }
        FirstMessage::InvalidStreamRequest(error) => Err(AttachError::Invalid(error)),
        FirstMessage::StreamRequest {
            request,
            len,
            frames,
        } => {
            let socket = StreamSocket {
                socket: stream.clone(),
                request,
                request_len: len,
                frames,
                received,
            };
            claim_stream(&options.associations, socket, &shared.close)
        }
    };
    let attached = claimed.and_then(|claim| match shared.take_thread() {
        Ok(thread) => Ok((claim, thread)),
        Err(_) => Err(AttachError::Cancelled),
    });
    match attached {
        Ok((claim, thread)) => {
            // The stream needs no slot.
            drop(options);
            let peer = claim.peer_ref();
            *task = SocketTask::Stream(claim, thread);
            on_outcome(InboundOutcome::Stream(peer));
        }
        Err(AttachError::Cancelled) => on_outcome(InboundOutcome::Canceled),
        Err(AttachError::Invalid(error)) => {
            let reason = error.reason();
            let limit = Some(&options.log_level);
            LogRecord::new(Component::Connection, Level::Debug, limit)
                .peer_address(shared.address)
                .direction(Direction::Inbound)
                .network(&options.config.network)
                .error(&reason)
                .write(format_args!("stream request rejected"));
            reject(&stream, &options, error);
            drop(options);
            on_outcome(InboundOutcome::StreamRejected(reason));
        }
    }
}

/// Sends the `reject` of an invalid request, and gives the peer up to 1 s to read it.
///
/// Closing a socket with unread received data discards sent data that the peer has not read yet. A
/// cancellation shuts the socket down, which ends the wait.
fn reject(stream: &Stream, options: &PeerConnectionOptions, error: StreamError) {
    let mut frame = Vec::new();
    encode_frame(options.config.magic(), &error.reject().into(), &mut frame);
    // The send buffer of a new socket has capacity for a small frame.
    if stream.write_now(&[IoSlice::new(&frame)]).is_ok() {
        stream.finish_writing();
        stream.discard_until(deadline_after(LINGER), || false);
    }
}
