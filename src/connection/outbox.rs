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
use super::progress::write_deadline;
use super::send_queue::{Priority, SendQueue, WriteProgress};
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

/// The limits of the queue, and the write timeout.
#[derive(Clone, Copy)]
struct Limits {
    write_timeout: Duration,
    max_bytes: usize,
    max_messages: usize,
}

impl From<&ConnectionConfig> for Limits {
    fn from(config: &ConnectionConfig) -> Self {
        Self {
            write_timeout: config.write_timeout,
            max_bytes: config.max_send_queue_bytes,
            max_messages: config.max_send_queue_messages,
        }
    }
}

impl Limits {
    fn deadline(&self, len: usize) -> Instant {
        write_deadline(self.write_timeout, len, Instant::now())
    }
}

impl OutboxState {
    fn new(config: &ConnectionConfig) -> Self {
        Self {
            limits: config.into(),
            queue: SendQueue::default(),
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

    /// Sends a message of the caller. Blocks while the queue is full, at most until `deadline`.
    pub(super) fn send(&self, message: &Message, deadline: Instant) -> Result<(), QueueError> {
        if message.encoded_len() < COPY_THRESHOLD {
            let mut state = self.shared.state.lock();
            if self.write_small(&mut state, std::slice::from_ref(message))? {
                return Ok(());
            }
        }
        self.send_frame(EncodedFrame::new(self.shared.magic, message), deadline)
    }

    /// Sends an encoded frame. Blocks while the queue is full, at most until `deadline`.
    pub(super) fn send_frame(
        &self,
        frame: EncodedFrame,
        deadline: Instant,
    ) -> Result<(), QueueError> {
        self.send_frames(vec![frame], deadline)
    }

    /// Sends the messages of a request in order, all of them or none. Blocks while the queue is
    /// full, at most until `deadline`.
    pub(super) fn send_all(
        &self,
        messages: &[Message],
        deadline: Instant,
    ) -> Result<(), QueueError> {
        let len: u64 = messages.iter().map(Encode::encoded_len).sum();
        if len < COPY_THRESHOLD {
            let mut state = self.shared.state.lock();
            if self.write_small(&mut state, messages)? {
                return Ok(());
            }
        }
        let frame = |message| EncodedFrame::new(self.shared.magic, message);
        self.send_frames(messages.iter().map(frame).collect(), deadline)
    }

    fn send_frames(&self, frames: Vec<EncodedFrame>, deadline: Instant) -> Result<(), QueueError> {
        let len = frames.iter().map(EncodedFrame::len).sum();
        let mut state = self.shared.state.lock();
        while !state.has_capacity(frames.len(), len) {
            if state.is_closed {
                return Err(QueueError::Closed);
            }
            self.shared.wait_for_capacity(&mut state, deadline)?;
        }
        self.push(state, frames)
    }

    /// Sends protocol replies, small ones with a single write. Does not block. If the reply queue
    /// is full, the connection is closed.
    pub(super) fn reply(&self, messages: &[Message]) -> Result<(), QueueError> {
        self.reply_by(messages, |queue, frame, _| queue.push_reply(frame))
    }

    /// Like [`reply`](Self::reply), but queues a pong after pending bulk messages, as a node does.
    ///
    /// The pong then acts as a fence: blocks sent earlier precede it. After a `notfound` on another
    /// stream, the pong proves to the peer that no block was sent before it.
    pub(super) fn reply_after_bulk(&self, messages: &[Message]) -> Result<(), QueueError> {
        const PONG: Command = Command::new("pong");
        self.reply_by(messages, |queue, frame, max_messages| {
            if frame.command() == PONG {
                queue.push_reply_after_bulk(frame, max_messages)
            } else {
                queue.push_reply(frame)
            }
        })
    }

    /// Writes replies directly or queues them with `push`, which returns whether the queue had
    /// capacity.
    fn reply_by(
        &self,
        messages: &[Message],
        push: impl Fn(&mut SendQueue, EncodedFrame, usize) -> bool,
    ) -> Result<(), QueueError> {
        let mut state = self.shared.state.lock();
        let len: u64 = messages.iter().map(Encode::encoded_len).sum();
        if len < COPY_THRESHOLD && self.write_small(&mut state, messages)? {
            return Ok(());
        }
        for message in messages {
            let frame = EncodedFrame::new(self.shared.magic, message);
            let (len, max_messages) = (frame.len(), state.limits.max_messages);
            if !push(&mut state.queue, frame, max_messages) {
                let waiting = state.queue.bytes() as u64;
                let reason = DisconnectReason::SlowReader { waiting };
                return Err(self.shared.fail(&mut state, reason));
            }
            self.shared.counters.add_message_out(message.command(), len);
            self.start_write(&mut state, 1)?;
        }
        Ok(())
    }

    /// Applies new limits. Queued frames stay, and a partially written frame keeps its deadline.
    pub(super) fn update_config(&self, config: &ConnectionConfig) {
        self.shared.state.lock().limits = config.into();
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

    /// Writes small messages directly if the queue is empty. Returns whether it was.
    fn write_small(
        &self,
        state: &mut OutboxState,
        messages: &[Message],
    ) -> Result<bool, QueueError> {
        if state.is_closed {
            return Err(QueueError::Closed);
        }
        if !state.is_idle() || !Stream::WRITES_WITHOUT_WAITING {
            return Ok(false);
        }
        let mut scratch = std::mem::take(&mut state.scratch);
        scratch.clear();
        for message in messages {
            encode_frame(self.shared.magic, message, &mut scratch);
        }
        let written = self.shared.stream.write_now(&[io::IoSlice::new(&scratch)]);
        let whole = scratch.len();
        // An idle peer should not hold a large buffer.
        if scratch.capacity() <= MAX_RETAINED_SCRATCH {
            state.scratch = scratch;
        }
        let bytes = written.as_ref().map_or(0, |bytes| *bytes);
        let written = written.map(|bytes| WriteProgress {
            bytes,
            large: false,
        });
        self.shared.record_write(state, written)?;
        if bytes < whole {
            // Rare: the send buffer of the system is full.
            let frame = |message| EncodedFrame::new(self.shared.magic, message);
            let limits = state.limits;
            let deadline = |len| limits.deadline(len);
            let frames = messages.iter().map(frame);
            state.queue.requeue_partial(frames, bytes, deadline);
            self.wake_writer(state);
        }
        for message in messages {
            let len = BASIC_HEADER_LEN + message.encoded_len() as usize;
            self.shared.counters.add_message_out(message.command(), len);
        }
        Ok(true)
    }

    fn push(
        &self,
        mut state: MutexGuard<'_, OutboxState>,
        frames: Vec<EncodedFrame>,
    ) -> Result<(), QueueError> {
        if state.is_closed {
            return Err(QueueError::Closed);
        }
        let count = frames.len();
        for frame in frames {
            let (command, len) = (frame.command(), frame.len());
            state.queue.push_back(Priority::Bulk, frame);
            self.shared.counters.add_message_out(command, len);
        }
        self.start_write(&mut state, count)
    }

    /// Starts to write the last `count` frames of the queue: directly if nothing else is queued,
    /// else on the writer thread.
    fn start_write(&self, state: &mut OutboxState, count: usize) -> Result<(), QueueError> {
        let alone = state.in_flight == (0, 0) && state.queue.len() == count;
        if alone && Stream::WRITES_WITHOUT_WAITING {
            self.shared.write_now(state)?;
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
        state.queue = SendQueue::default();
        self.stream.shut_down();
        self.progress.notify_all();
        self.work.notify_all();
    }

    /// Writes the first frames of the queue without blocking, under the lock.
    fn write_now(&self, state: &mut OutboxState) -> Result<(), QueueError> {
        let limits = state.limits;
        let deadline = |len| limits.deadline(len);
        let written = state
            .queue
            .write(deadline, |parts| self.stream.write_now(parts));
        self.record_write(state, written)
    }

    /// Records the result of a write.
    fn record_write(
        &self,
        state: &mut OutboxState,
        written: io::Result<WriteProgress>,
    ) -> Result<(), QueueError> {
        match written {
            Ok(WriteProgress { bytes, large }) => {
                self.counters.add_bytes_out(bytes);
                if large {
                    state.last_transfer = Some(Instant::now());
                }
                Ok(())
            }
            Err(error) => Err(self.fail(state, write_failure(&error))),
        }
    }

    /// Runs the writer thread, which writes queued frames and ends after [`WRITER_IDLE`] without
    /// work.
    fn run_writer(&self) {
        let mut state = self.state.lock();
        loop {
            while !state.is_closed && state.queue.is_empty() {
                let idle = self.work.wait_for(&mut state, WRITER_IDLE).timed_out();
                if idle && state.queue.is_empty() {
                    state.writer_runs = false;
                    return;
                }
            }
            if state.is_closed {
                state.writer_runs = false;
                return;
            }
            let limits = state.limits;
            let deadline = |len| limits.deadline(len);
            let Some(batch) = state.queue.next_batch(deadline) else {
                continue;
            };
            state.in_flight = batch.size();
            let written =
                MutexGuard::unlocked(&mut state, || self.stream.write_soon(&batch.parts()));
            state.in_flight = (0, 0);
            if state.is_closed {
                continue;
            }
            let written = written.map(|bytes| batch.written(bytes));
            let bytes = written.as_ref().map_or(0, |written| written.bytes);
            if self.record_write(&mut state, written).is_err() {
                continue;
            }
            state.queue.requeue(batch, bytes, deadline);
            if state.queue.is_overdue(Instant::now()) {
                let waiting = state.queue.bytes() as u64;
                self.fail(&mut state, DisconnectReason::SlowReader { waiting });
            }
            self.progress.notify_all();
        }
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
