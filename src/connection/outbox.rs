//! Outgoing queue of one stream. A send to an idle queue writes directly to the socket. A writer
//! thread drains the rest.
//!
//! Senders never block each other: a write under the lock does not block. **A partially written
//! frame is completed before any other frame is written, or the connection is closed.**

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::ConnectionConfig;
use super::close_cell::CloseCell;
use super::send_queue::{MAX_BATCH_FRAMES, Priority, SendQueue, WriteProgress};
use super::stream::Stream;
use super::traffic::TrafficCounters;
use crate::network::Magic;
use crate::session::DisconnectReason;
use crate::sockets::is_peer_close;
use crate::wire::{
    BASIC_HEADER_LEN, COPY_THRESHOLD, Command, Encode, EncodedFrame, Message, encode_frame,
};

/// The maximum capacity of an encoding buffer that is kept for reuse, in bytes.
const MAX_RETAINED_SCRATCH: usize = 4 * 1024;
/// The time without work after which the writer thread ends.
const WRITER_IDLE: Duration = Duration::from_secs(5);

/// The outgoing queue of one stream. Can be used from several threads.
pub(super) struct Outbox {
    shared: Arc<OutboxShared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct OutboxShared {
    stream: Arc<Stream>,
    magic: Magic,
    counters: Arc<TrafficCounters>,
    /// Gets the reason if a write fails.
    close: Arc<CloseCell>,
    state: Mutex<OutboxState>,
    /// Notified after each write of the writer thread, after an update of the limits, and when the
    /// outbox closes.
    progress: Condvar,
    /// Notified when the writer thread has work, and when the outbox closes.
    work: Condvar,
}

struct OutboxState {
    limits: Limits,
    queue: SendQueue,
    /// The number of messages and bytes that the writer thread is writing.
    in_flight: (usize, usize),
    writer_runs: bool,
    /// A buffer to encode small messages that are written directly.
    scratch: Vec<u8>,
    /// The time at which bytes of a large frame were last written.
    last_transfer: Option<Instant>,
    is_closed: bool,
}

/// The limits of the queue.
struct Limits {
    max_bytes: usize,
    max_messages: usize,
}

impl From<&ConnectionConfig> for Limits {
    fn from(config: &ConnectionConfig) -> Self {
        Self {
            max_bytes: config.max_send_queue_bytes,
            max_messages: config.max_send_queue_messages,
        }
    }
}

impl OutboxState {
    fn new(config: &ConnectionConfig) -> Self {
        Self {
            limits: config.into(),
            queue: SendQueue::new(config.write_timeout),
            in_flight: (0, 0),
            writer_runs: false,
            scratch: Vec::new(),
            last_transfer: None,
            is_closed: false,
        }
    }

    /// Returns whether `count` messages of `len` bytes in total may be queued.
    ///
    /// An empty queue accepts messages above its limits, because they could never be sent
    /// otherwise.
    fn has_capacity(&self, count: usize, len: usize) -> bool {
        let (messages, bytes) = self.queue.queued_bulk();
        let (messages, bytes) = (messages + self.in_flight.0, bytes + self.in_flight.1);
        let fits = |queued: usize, more: usize, max: usize| {
            queued == 0 || queued.saturating_add(more) <= max
        };
        fits(messages, count, self.limits.max_messages) && fits(bytes, len, self.limits.max_bytes)
    }

    /// Returns whether all data was handed to the operating system.
    fn is_idle(&self) -> bool {
        self.in_flight == (0, 0) && self.queue.is_empty()
    }
}

/// The reason why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueError {
    /// The queue was full until the deadline.
    Full,
    /// The outbox is closed. The [`CloseCell`] of the connection has the reason.
    Closed,
}

impl Outbox {
    /// Creates an open queue. If a write fails, the outbox records the reason in `close`.
    pub(super) fn new(
        stream: Arc<Stream>,
        config: &ConnectionConfig,
        counters: Arc<TrafficCounters>,
        close: Arc<CloseCell>,
    ) -> Self {
        let shared = OutboxShared {
            stream,
            magic: config.magic(),
            counters,
            close,
            state: Mutex::new(OutboxState::new(config)),
            progress: Condvar::new(),
            work: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            writer: Mutex::new(None),
        }
    }

    /// Sends messages of the caller in order, either all or none. Blocks while the queue is full, at
    /// most until `deadline`.
    pub(super) fn send(&self, messages: &[Message], deadline: Instant) -> Result<(), QueueError> {
        if self.write_small(messages, Priority::Bulk)? {
            return Ok(());
        }
        let encode = |message| EncodedFrame::new(self.shared.magic, message);
        self.send_frames(messages.iter().map(encode).collect(), deadline)
    }

    /// Like [`send`](Self::send), but sends encoded messages.
    pub(super) fn send_frames(
        &self,
        frames: Vec<EncodedFrame>,
        deadline: Instant,
    ) -> Result<(), QueueError> {
        let (count, len) = (frames.len(), frames.iter().map(EncodedFrame::len).sum());
        let mut state = self.shared.state.lock();
        loop {
            if state.is_closed {
                return Err(QueueError::Closed);
            }
            if state.has_capacity(count, len) {
                break;
            }
            self.shared.wait_for_capacity(&mut state, deadline)?;
        }
        for frame in frames {
            self.count(frame.command(), frame.len());
            state.queue.push_back(Priority::Bulk, frame);
        }
        self.start_write(&mut state, count)
    }

    /// Sends protocol replies, small ones with a single write. Does not block. If the reply queue
    /// is full, the connection is closed.
    pub(super) fn reply(&self, messages: &[Message]) -> Result<(), QueueError> {
        self.push_replies(messages, |_| Priority::Protocol)
    }

    /// Like [`reply`](Self::reply), but queues a pong after pending bulk messages, as a node does.
    ///
    /// The pong then acts as a fence: blocks sent earlier precede it. After a `notfound` on another
    /// stream, the pong proves to the peer that no block was sent before it.
    pub(super) fn reply_after_bulk(&self, messages: &[Message]) -> Result<(), QueueError> {
        const PONG: Command = Command::new("pong");
        self.push_replies(messages, |command| match command {
            PONG => Priority::Bulk,
            _ => Priority::Protocol,
        })
    }

    fn push_replies(
        &self,
        messages: &[Message],
        priority: impl Fn(Command) -> Priority,
    ) -> Result<(), QueueError> {
        if self.write_small(messages, Priority::Protocol)? {
            return Ok(());
        }
        let mut state = self.shared.state.lock();
        if state.is_closed {
            return Err(QueueError::Closed);
        }
        for message in messages {
            let frame = EncodedFrame::new(self.shared.magic, message);
            let (command, len) = (frame.command(), frame.len());
            let max_bulk = state.limits.max_messages;
            if !state.queue.push_reply(priority(command), frame, max_bulk) {
                let waiting = state.queue.bytes() as u64;
                let reason = DisconnectReason::SlowReader { waiting };
                return Err(self.shared.fail(&mut state, reason));
            }
            self.count(command, len);
        }
        self.start_write(&mut state, messages.len())
    }

    /// Applies new limits. Queued frames stay, and a partially written frame keeps its deadline.
    pub(super) fn update_config(&self, config: &ConnectionConfig) {
        let mut state = self.shared.state.lock();
        state.limits = config.into();
        state.queue.set_write_timeout(config.write_timeout);
        drop(state);
        self.shared.progress.notify_all();
    }

    /// Blocks until all data was handed to the operating system, or returns [`QueueError::Full`] at
    /// `deadline`.
    pub(super) fn flush(&self, deadline: Instant) -> Result<(), QueueError> {
        let mut state = self.shared.state.lock();
        loop {
            // Queued data was dropped by the close.
            if state.is_closed {
                return Err(QueueError::Closed);
            }
            if state.is_idle() {
                return Ok(());
            }
            self.shared.wait_for_capacity(&mut state, deadline)?;
        }
    }

    /// Returns the number of queued messages and bytes, including those being written.
    pub(super) fn queued(&self) -> (usize, usize) {
        let state = self.shared.state.lock();
        let (messages, bytes) = state.in_flight;
        (messages + state.queue.len(), bytes + state.queue.bytes())
    }

    /// Returns the time at which bytes of a large frame were last written.
    pub(super) fn last_transfer(&self) -> Option<Instant> {
        self.shared.state.lock().last_transfer
    }

    /// Closes the outbox, drops queued data and shuts the socket down. Does not block.
    pub(super) fn close(&self) {
        self.shared.close(&mut self.shared.state.lock());
    }

    /// Waits for the writer thread to end. The outbox must be closed.
    pub(super) fn join(&self) {
        if let Some(writer) = self.writer.lock().take() {
            // The writer thread catches its own panics.
            let _ = writer.join();
        }
    }

    /// Writes small messages directly if nothing is queued. Returns whether they were accepted.
    ///
    /// Encodes into a reused buffer: in the usual case, nothing is allocated.
    fn write_small(&self, messages: &[Message], priority: Priority) -> Result<bool, QueueError> {
        let len: u64 = messages.iter().map(Encode::encoded_len).sum();
        let is_small = len < COPY_THRESHOLD && messages.len() <= MAX_BATCH_FRAMES;
        if !is_small || !Stream::SUPPORTS_NONBLOCKING_CALLS {
            return Ok(false);
        }
        let mut guard = self.shared.state.lock();
        let state = &mut *guard;
        if state.is_closed {
            return Err(QueueError::Closed);
        }
        if !state.is_idle() {
            return Ok(false);
        }
        state.scratch.clear();
        for message in messages {
            encode_frame(self.shared.magic, message, &mut state.scratch);
        }
        let whole = state.scratch.len();
        let written = self
            .shared
            .stream
            .write_now(&[io::IoSlice::new(&state.scratch)]);
        if state.scratch.capacity() > MAX_RETAINED_SCRATCH {
            // An idle peer should not hold a large buffer.
            state.scratch = Vec::new();
        }
        let written = written.map(|bytes| WriteProgress {
            bytes,
            large: false,
        });
        let bytes = self.shared.record_write(state, written)?;
        if bytes < whole {
            // Rare: the send buffer of the system is full. The messages are one batch.
            for message in messages {
                let frame = EncodedFrame::new(self.shared.magic, message);
                state.queue.push_back(priority, frame);
            }
            if let Some(batch) = state.queue.next_batch() {
                state.queue.requeue(batch, bytes);
            }
            self.wake_writer(state);
        }
        for message in messages {
            let len = BASIC_HEADER_LEN + message.encoded_len() as usize;
            self.count(message.command(), len);
        }
        Ok(true)
    }

    fn count(&self, command: Command, len: usize) {
        self.shared.counters.add_message_out(command, len);
    }

    /// Starts to write the last `count` frames of the queue: directly if nothing else is queued,
    /// else on the writer thread.
    fn start_write(&self, state: &mut OutboxState, count: usize) -> Result<(), QueueError> {
        let alone = state.in_flight == (0, 0) && state.queue.len() == count;
        if alone && Stream::SUPPORTS_NONBLOCKING_CALLS {
            let stream = &self.shared.stream;
            let written = state.queue.write(|parts| stream.write_now(parts));
            self.shared.record_write(state, written)?;
        }
        if !state.queue.is_empty() {
            self.wake_writer(state);
        }
        Ok(())
    }

    /// Wakes the writer thread. Spawns it if it does not run.
    fn wake_writer(&self, state: &mut OutboxState) {
        if state.writer_runs {
            self.shared.work.notify_one();
            return;
        }
        let shared = self.shared.clone();
        let spawned = thread::Builder::new()
            .name(format!("bsv-p2p writer {}", shared.stream.peer()))
            .stack_size(128 * 1024)
            .spawn(move || {
                let run = AssertUnwindSafe(|| shared.run_writer());
                if catch_unwind(run).is_err() {
                    shared.fail(&mut shared.state.lock(), DisconnectReason::InternalError);
                }
            });
        match spawned {
            Ok(handle) => {
                state.writer_runs = true;
                // An earlier writer thread has released the lock of the state and only has to
                // exit, so this join is short.
                if let Some(earlier) = self.writer.lock().replace(handle) {
                    let _ = earlier.join();
                }
            }
            Err(error) => {
                self.shared.fail(state, DisconnectReason::Io(error.kind()));
            }
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // Without a writer thread there is nothing to wait for, and the socket may have another
        // owner by now.
        if self.writer.get_mut().is_some() {
            self.close();
            self.join();
        }
    }
}

impl OutboxShared {
    /// Waits until data was written or the outbox closed. Returns [`QueueError::Full`] at `deadline`.
    fn wait_for_capacity(
        &self,
        state: &mut MutexGuard<'_, OutboxState>,
        deadline: Instant,
    ) -> Result<(), QueueError> {
        let timed_out = self.progress.wait_until(state, deadline).timed_out();
        if timed_out {
            Err(QueueError::Full)
        } else {
            Ok(())
        }
    }

    /// Records the reason of a failure and closes the outbox.
    fn fail(&self, state: &mut OutboxState, reason: DisconnectReason) -> QueueError {
        if !state.is_closed {
            if reason.is_peer_close() {
                self.close.record_peer_close(reason);
            } else {
                self.close.record(reason);
            }
            self.close(state);
        }
        QueueError::Closed
    }

    fn close(&self, state: &mut OutboxState) {
        if state.is_closed {
            return;
        }
        state.is_closed = true;
        state.queue.clear();
        self.stream.shut_down();
        self.progress.notify_all();
        self.work.notify_all();
    }

    /// Records the result of a write. Returns the number of written bytes.
    fn record_write(
        &self,
        state: &mut OutboxState,
        written: io::Result<WriteProgress>,
    ) -> Result<usize, QueueError> {
        match written {
            Ok(WriteProgress { bytes, large }) => {
                self.counters.add_bytes_out(bytes);
                if large {
                    state.last_transfer = Some(Instant::now());
                }
                Ok(bytes)
            }
            Err(error) => Err(self.fail(state, write_failure(&error))),
        }
    }

    /// Runs the writer thread, which writes queued frames and ends after [`WRITER_IDLE`] without
    /// work.
    fn run_writer(&self) {
        let mut state = self.state.lock();
        while self.wait_for_work(&mut state) {
            self.write_batch(&mut state);
        }
        state.writer_runs = false;
    }

    /// Waits for queued frames. Returns `false` if the outbox closed or nothing was queued in time.
    fn wait_for_work(&self, state: &mut MutexGuard<'_, OutboxState>) -> bool {
        let deadline = Instant::now() + WRITER_IDLE;
        while !state.is_closed && state.queue.is_empty() {
            if self.work.wait_until(state, deadline).timed_out() {
                break;
            }
        }
        !state.is_closed && !state.queue.is_empty()
    }

    /// Writes once without the lock, so that senders can queue meanwhile. Closes the outbox if the
    /// peer reads too slowly.
    fn write_batch(&self, state: &mut MutexGuard<'_, OutboxState>) {
        let Some(batch) = state.queue.next_batch() else {
            return;
        };
        state.in_flight = batch.size();
        let written = MutexGuard::unlocked(state, || self.stream.write_soon(&batch.parts()));
        state.in_flight = (0, 0);
        if state.is_closed {
            return;
        }
        let written = written.map(|bytes| batch.progress(bytes));
        let Ok(bytes) = self.record_write(state, written) else {
            return;
        };
        state.queue.requeue(batch, bytes);
        if state.queue.is_overdue(Instant::now()) {
            let waiting = state.queue.bytes() as u64;
            self.fail(state, DisconnectReason::SlowReader { waiting });
        }
        self.progress.notify_all();
    }
}

/// Returns the disconnect reason of a failed write. A write to a closed connection counts as a
/// reset.
fn write_failure(error: &io::Error) -> DisconnectReason {
    if is_peer_close(error) {
        DisconnectReason::ConnectionReset
    } else {
        DisconnectReason::Io(error.kind())
    }
}
