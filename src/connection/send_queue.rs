//! Send queue of a stream: the partially written frame, replies and bulk messages.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use super::progress::write_deadline;
use crate::wire::{COPY_THRESHOLD, EncodedFrame};

/// The maximum number of frames in one write.
pub(super) const MAX_BATCH_FRAMES: usize = 32;
/// The maximum number of bytes in one write. A longer first frame is written alone.
const MAX_BATCH_BYTES: usize = 64 * 1024;
/// The maximum number of bytes of queued replies. Limits a peer that sends requests but does not
/// read.
const MAX_REPLY_BYTES: usize = 1024 * 1024;
/// The maximum time between two checks of the write deadline. More than that passes only if the
/// process was suspended.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum number of queued replies.
const MAX_REPLIES: usize = 4096;

/// The queue of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// Protocol messages and keepalives, sent right after the frame that is being written. Pongs on
    /// a block stream are queued as bulk.
    Protocol,
    /// Messages of the caller.
    Bulk,
}

/// A frame that may be partially written. Its rest must be written before any other frame.
#[derive(Debug)]
struct PartialFrame {
    frame: EncodedFrame,
    written: usize,
    /// The time by which the whole frame must be written.
    deadline: Instant,
    /// The time at which the deadline was last checked or extended.
    checked_at: Instant,
}

impl PartialFrame {
    fn remaining(&self) -> usize {
        self.frame.len() - self.written
    }

    fn parts(&self) -> [IoSlice<'_>; 2] {
        let header = self.frame.header();
        let payload = self.frame.payload();
        let after_header = self.written.saturating_sub(header.len());
        [
            IoSlice::new(&header[self.written.min(header.len())..]),
            IoSlice::new(&payload[after_header..]),
        ]
    }
}

/// The reply queue, the bulk queue and the partially written frame.
#[derive(Debug)]
pub(super) struct SendQueue {
    write_timeout: Duration,
    partial: Option<PartialFrame>,
    replies: VecDeque<EncodedFrame>,
    bulk: VecDeque<EncodedFrame>,
    reply_bytes: usize,
    bulk_bytes: usize,
}

impl SendQueue {
    /// Creates an empty queue. `write_timeout` is the time to write a frame, in addition to the
    /// time for its length.
    pub(super) fn new(write_timeout: Duration) -> Self {
        Self {
            write_timeout,
            partial: None,
            replies: VecDeque::new(),
            bulk: VecDeque::new(),
            reply_bytes: 0,
            bulk_bytes: 0,
        }
    }

    /// Sets the write timeout. A partially written frame keeps its deadline.
    pub(super) fn set_write_timeout(&mut self, timeout: Duration) {
        self.write_timeout = timeout;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partial.is_none() && self.replies.is_empty() && self.bulk.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.partial.is_some()) + self.replies.len() + self.bulk.len()
    }

    /// Returns the number of queued bytes, including the rest of the partially written frame.
    pub(super) fn bytes(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, PartialFrame::remaining);
        partial + self.reply_bytes + self.bulk_bytes
    }

    /// Returns the number of queued bulk messages and their bytes. The partially written frame
    /// counts as bulk.
    pub(super) fn queued_bulk(&self) -> (usize, usize) {
        let partial = self.partial.as_ref();
        (
            usize::from(partial.is_some()) + self.bulk.len(),
            partial.map_or(0, PartialFrame::remaining) + self.bulk_bytes,
        )
    }

    pub(super) fn push_back(&mut self, priority: Priority, frame: EncodedFrame) {
        *self.bytes_mut(priority) += frame.len();
        self.frames_mut(priority).push_back(frame);
    }

    /// Queues a reply, with [`Priority::Bulk`] after the pending messages of the caller. Returns
    /// `false` if the replies exceed their limit, because the peer does not read.
    ///
    /// The bulk queue holds at most `max_bulk` messages, plus the maximum number of replies.
    #[must_use]
    pub(super) fn push_reply(
        &mut self,
        priority: Priority,
        frame: EncodedFrame,
        max_bulk: usize,
    ) -> bool {
        let bytes = self.reply_bytes + frame.len();
        let fits = match priority {
            Priority::Protocol => bytes <= MAX_REPLY_BYTES && self.replies.len() < MAX_REPLIES,
            Priority::Bulk => self.bulk.len() < max_bulk.saturating_add(MAX_REPLIES),
        };
        if fits {
            self.push_back(priority, frame);
        }
        fits
    }

    /// Drops all frames and releases their memory.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.write_timeout);
    }

    /// Removes the next frame if it has at most `len` bytes.
    fn pop_front_within(&mut self, len: usize) -> Option<(Priority, EncodedFrame)> {
        let priority = if self.replies.is_empty() {
            Priority::Bulk
        } else {
            Priority::Protocol
        };
        let queue = self.frames_mut(priority);
        if queue.front()?.len() > len {
            return None;
        }
        let frame = queue.pop_front()?;
        *self.bytes_mut(priority) -= frame.len();
        Some((priority, frame))
    }

    fn frames_mut(&mut self, priority: Priority) -> &mut VecDeque<EncodedFrame> {
        match priority {
            Priority::Protocol => &mut self.replies,
            Priority::Bulk => &mut self.bulk,
        }
    }

    fn bytes_mut(&mut self, priority: Priority) -> &mut usize {
        match priority {
            Priority::Protocol => &mut self.reply_bytes,
            Priority::Bulk => &mut self.bulk_bytes,
        }
    }

    /// Calls `write` once with the first frames. If it fails, these frames are lost.
    pub(super) fn write(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<WriteProgress> {
        let Some(batch) = self.next_batch() else {
            return Ok(WriteProgress::default());
        };
        let progress = batch.progress(write(&batch.parts())?);
        self.requeue(batch, progress.bytes);
        Ok(progress)
    }

    /// Extends the write deadline by `pause`, in which nothing was written on purpose.
    pub(super) fn on_reads_paused(&mut self, pause: Duration) {
        if let Some(partial) = &mut self.partial {
            partial.deadline += pause;
            partial.checked_at += pause;
        }
    }

    /// Returns whether the partially written frame has exceeded its deadline.
    ///
    /// Must be called after each write that may block, and such a write takes at most 1 s. A longer
    /// time since the last check extends the deadline: a suspended process cannot write what the peer
    /// would accept.
    pub(super) fn is_overdue(&mut self, now: Instant) -> bool {
        self.partial.as_mut().is_some_and(|partial| {
            let elapsed = now.saturating_duration_since(partial.checked_at);
            partial.checked_at = now;
            partial.deadline += elapsed.saturating_sub(CHECK_INTERVAL);
            now >= partial.deadline
        })
    }

    /// Removes the frames for the next write: the partially written one, then replies, then bulk.
    ///
    /// [`requeue`](Self::requeue) must follow the write.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let partial = match self.partial.take() {
            Some(partial) => partial,
            None => {
                let (_, frame) = self.pop_front_within(usize::MAX)?;
                self.start_frame(frame, 0)
            }
        };
        let mut bytes = partial.remaining();
        let mut more = Vec::new();
        while more.len() + 1 < MAX_BATCH_FRAMES {
            // A long frame stays in the queue, so that later replies are sent before it.
            let capacity = MAX_BATCH_BYTES.saturating_sub(bytes);
            let Some((priority, frame)) = self.pop_front_within(capacity) else {
                break;
            };
            bytes += frame.len();
            more.push((priority, frame));
        }
        Some(Batch { partial, more })
    }

    /// Puts the unwritten frames of a batch back into their queues.
    pub(super) fn requeue(&mut self, batch: Batch, mut written: usize) {
        let Batch { mut partial, more } = batch;
        if written < partial.remaining() {
            partial.written += written;
            self.partial = Some(partial);
            written = 0;
        } else {
            written -= partial.remaining();
        }
        let mut rest = Vec::new();
        for (priority, frame) in more {
            if written >= frame.len() {
                written -= frame.len();
            } else if written > 0 {
                self.partial = Some(self.start_frame(frame, written));
                written = 0;
            } else {
                rest.push((priority, frame));
            }
        }
        for (priority, frame) in rest.into_iter().rev() {
            *self.bytes_mut(priority) += frame.len();
            self.frames_mut(priority).push_front(frame);
        }
    }

    fn start_frame(&self, frame: EncodedFrame, written: usize) -> PartialFrame {
        let now = Instant::now();
        PartialFrame {
            deadline: write_deadline(self.write_timeout, frame.len(), now),
            checked_at: now,
            frame,
            written,
        }
    }
}

/// The result of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WriteProgress {
    pub(super) bytes: usize,
    /// Whether bytes of a frame were written that is long enough to delay others.
    pub(super) large: bool,
}

/// The frames of one write.
#[derive(Debug)]
pub(super) struct Batch {
    partial: PartialFrame,
    more: Vec<(Priority, EncodedFrame)>,
}

impl Batch {
    /// Returns the number of messages and bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let more = self.more.iter().map(|(_, frame)| frame.len());
        (
            1 + self.more.len(),
            self.partial.remaining() + more.sum::<usize>(),
        )
    }

    /// Converts a number of written bytes into [`WriteProgress`].
    pub(super) fn progress(&self, bytes: usize) -> WriteProgress {
        let large = bytes > 0 && self.partial.frame.len() as u64 >= COPY_THRESHOLD;
        WriteProgress { bytes, large }
    }

    pub(super) fn parts(&self) -> Vec<IoSlice<'_>> {
        let mut parts = Vec::with_capacity(2 + 2 * self.more.len());
        parts.extend(self.partial.parts());
        for (_, frame) in &self.more {
            parts.push(IoSlice::new(frame.header()));
            parts.push(IoSlice::new(frame.payload()));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::{Command, Message};

    fn frame(name: &str, len: usize) -> EncodedFrame {
        let command = Command::parse({
            let mut bytes = [0; 12];
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            bytes
        });
        let message = Message::Unknown {
            command: command.unwrap(),
            payload: vec![0x55; len].into(),
        };
        EncodedFrame::new(Network::Regtest.magic(), &message)
    }

    fn queue() -> SendQueue {
        SendQueue::new(Duration::from_secs(20))
    }

    fn bytes_of(parts: &[IoSlice<'_>]) -> Vec<u8> {
        parts.iter().flat_map(|part| part.iter().copied()).collect()
    }

    /// Writes `step` bytes at a time and returns the whole stream.
    fn drain(queue: &mut SendQueue, step: usize) -> Vec<u8> {
        let mut stream = Vec::new();
        while let Some(batch) = queue.next_batch() {
            let bytes = bytes_of(&batch.parts());
            let written = bytes.len().min(step);
            stream.extend_from_slice(&bytes[..written]);
            queue.requeue(batch, written);
        }
        stream
    }

    #[test]
    fn partial_batch_write_keeps_order() {
        let frames: Vec<_> = (0..4).map(|n| frame("reply", n * 7)).collect();
        let whole: Vec<u8> = frames
            .iter()
            .flat_map(|f| [f.header(), f.payload()].concat())
            .collect();
        for written in 0..whole.len() {
            let mut queue = queue();
            let push = |frame: &EncodedFrame| queue.push_back(Priority::Protocol, frame.clone());
            frames.iter().for_each(push);
            let batch = queue.next_batch().unwrap();
            queue.requeue(batch, written);
            assert_eq!(queue.bytes(), whole.len() - written);
            let stream = [&whole[..written], &drain(&mut queue, usize::MAX)].concat();
            assert_eq!(stream, whole, "{written} bytes written");
        }
    }

    #[test]
    fn partial_writes_keep_frames_whole_and_ordered() {
        let frames: Vec<_> = (0..6).map(|n| frame("bulk", n * 7)).collect();
        let whole: Vec<u8> = frames
            .iter()
            .flat_map(|f| [f.header(), f.payload()].concat())
            .collect();
        for step in 1..whole.len() + 1 {
            let mut queue = queue();
            frames
                .iter()
                .for_each(|frame| queue.push_back(Priority::Bulk, frame.clone()));
            assert_eq!(drain(&mut queue, step), whole, "{step} bytes a write");
            assert!(queue.is_empty());
            assert_eq!(queue.bytes(), 0);
        }
    }

    #[test]
    fn reply_overtakes_bulk_between_frames_only() {
        let (first, second, reply) = (frame("a", 100), frame("b", 100), frame("r", 8));
        let mut queue = queue();
        queue.push_back(Priority::Bulk, first.clone());
        queue.push_back(Priority::Bulk, second.clone());
        let batch = queue.next_batch().unwrap();
        queue.requeue(batch, 10);
        queue.push_back(Priority::Protocol, reply.clone());

        let whole = [first, reply, second]
            .map(|f| [f.header(), f.payload()].concat())
            .concat();
        assert_eq!(drain(&mut queue, usize::MAX), &whole[10..]);
    }

    #[test]
    fn ordered_reply_waits_only_for_earlier_bulk() {
        let (before, behind) = (frame("a", 100), frame("b", 100));
        let (pong, reply) = (frame("p", 8), frame("r", 8));
        let mut queue = queue();
        queue.push_back(Priority::Bulk, before.clone());
        assert!(queue.push_reply(Priority::Bulk, pong.clone(), 1));
        queue.push_back(Priority::Bulk, behind.clone());
        assert!(queue.push_reply(Priority::Protocol, reply.clone(), 1));
        let whole = [reply, before, pong, behind];
        let whole = whole.map(|f| [f.header(), f.payload()].concat()).concat();
        assert_eq!(drain(&mut queue, usize::MAX), whole);
    }

    #[test]
    fn replies_after_bulk_have_their_own_bound() {
        for max_bulk in [0, 3] {
            let mut queue = queue();
            (0..max_bulk).for_each(|_| queue.push_back(Priority::Bulk, frame("a", 8)));
            let push = |_: &u32| queue.push_reply(Priority::Bulk, frame("p", 8), max_bulk);
            assert_eq!((0..).take_while(push).count(), MAX_REPLIES);
        }
        let mut queue = queue();
        assert!(queue.push_reply(Priority::Bulk, frame("p", 8), usize::MAX));
    }

    #[test]
    fn suspension_extends_write_deadline() {
        let second = Duration::from_secs(1);
        let mut queue = queue();
        queue.push_back(Priority::Bulk, frame("a", 100));
        let batch = queue.next_batch().unwrap();
        queue.requeue(batch, 10);
        let started = queue.partial.as_ref().unwrap().checked_at;
        assert!(!queue.is_overdue(started + 60 * second));
        for elapsed in 61..79 {
            assert!(!queue.is_overdue(started + elapsed * second), "{elapsed}");
        }
        assert!(queue.is_overdue(started + 79 * second), "20 s without 59 s");
        queue.on_reads_paused(5 * second);
        assert!(!queue.is_overdue(started + 83 * second));
        assert!(queue.is_overdue(started + 84 * second));
    }

    #[test]
    fn batch_excludes_long_frames() {
        let mut queue = queue();
        for len in [100, 200, MAX_BATCH_BYTES, 100] {
            queue.push_back(Priority::Bulk, frame("a", len));
        }
        let mut sizes = Vec::new();
        while let Some(batch) = queue.next_batch() {
            sizes.push(batch.size().0);
        }
        assert_eq!(sizes, [2, 1, 1]);
    }

    #[test]
    fn unread_replies_are_bounded_by_count_and_bytes() {
        for (len, most) in [(8, MAX_REPLIES), (1000, MAX_REPLY_BYTES / 1024)] {
            let mut queue = queue();
            let taken =
                (0..).take_while(|_| queue.push_reply(Priority::Protocol, frame("r", len), 1));
            assert_eq!(taken.count(), most);
            assert!(queue.bytes() <= MAX_REPLY_BYTES);
        }
    }

    #[test]
    fn bytes_and_messages_are_counted_exactly() {
        let mut queue = queue();
        queue.push_back(Priority::Bulk, frame("a", 76));
        queue.push_back(Priority::Bulk, frame("b", 76));
        queue.push_back(Priority::Protocol, frame("r", 0));
        assert_eq!((queue.len(), queue.bytes()), (3, 224));
        assert_eq!(queue.queued_bulk(), (2, 200));
        let batch = queue.next_batch().unwrap();
        assert_eq!(batch.size(), (3, 224));
        queue.requeue(batch, 24 + 30);
        assert_eq!((queue.len(), queue.bytes()), (2, 170));
        assert_eq!(queue.queued_bulk(), (2, 170));
        assert_eq!(queue.partial.as_ref().unwrap().remaining(), 70);
    }
}
