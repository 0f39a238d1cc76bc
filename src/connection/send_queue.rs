//! Send queue: the partially written frame, replies and bulk messages.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use crate::wire::{COPY_THRESHOLD, EncodedFrame};

/// The maximum number of frames in one write.
const MAX_BATCH_FRAMES: usize = 32;
/// The maximum number of bytes in one write. A longer first frame is written alone.
const MAX_BATCH_BYTES: usize = 64 * 1024;
/// The maximum number of bytes of queued replies. Limits a peer that sends requests but does not
/// read.
const MAX_REPLY_BYTES: usize = 1024 * 1024;
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
pub(super) struct PartialFrame {
    pub(super) frame: EncodedFrame,
    pub(super) written: usize,
    /// The time by which the whole frame must be written.
    pub(super) deadline: Instant,
}

impl PartialFrame {
    pub(super) fn remaining(&self) -> usize {
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
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    pub(super) partial: Option<PartialFrame>,
    replies: VecDeque<EncodedFrame>,
    bulk: VecDeque<EncodedFrame>,
    reply_bytes: usize,
    bulk_bytes: usize,
}

impl SendQueue {
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

    /// Queues a reply. Returns `false` if the reply queue is full, because the peer does not read.
    #[must_use]
    pub(super) fn push_reply(&mut self, frame: EncodedFrame) -> bool {
        let fits =
            self.reply_bytes + frame.len() <= MAX_REPLY_BYTES && self.replies.len() < MAX_REPLIES;
        if fits {
            self.push_back(Priority::Protocol, frame);
        }
        fits
    }

    /// Queues a reply after the pending bulk messages. Returns `false` if the bulk queue is full.
    ///
    /// The bulk queue holds at most `max_bulk` messages, plus the maximum number of replies.
    #[must_use]
    pub(super) fn push_reply_after_bulk(&mut self, frame: EncodedFrame, max_bulk: usize) -> bool {
        let fits = self.bulk.len() < max_bulk.saturating_add(MAX_REPLIES);
        if fits {
            self.push_back(Priority::Bulk, frame);
        }
        fits
    }

    /// Queues the rest of small frames after a single write of `written` bytes. Nothing else may be
    /// queued.
    pub(super) fn requeue_partial(
        &mut self,
        frames: impl Iterator<Item = EncodedFrame>,
        mut written: usize,
        deadline: impl Fn(usize) -> Instant,
    ) {
        for frame in frames {
            let len = frame.len();
            if self.partial.is_some() {
                self.push_back(Priority::Protocol, frame);
            } else if written < len {
                let deadline = deadline(len);
                self.partial = Some(PartialFrame {
                    frame,
                    written,
                    deadline,
                });
            } else {
                written -= len;
            }
        }
    }

    fn push_front(&mut self, priority: Priority, frame: EncodedFrame) {
        *self.bytes_mut(priority) += frame.len();
        self.frames_mut(priority).push_front(frame);
    }

    fn pop_front(&mut self) -> Option<(Priority, EncodedFrame)> {
        self.pop_front_within(usize::MAX)
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
        deadline: impl Fn(usize) -> Instant,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<WriteProgress> {
        let Some(batch) = self.next_batch(&deadline) else {
            return Ok(WriteProgress::default());
        };
        let written = batch.written(write(&batch.parts())?);
        self.requeue(batch, written.bytes, deadline);
        Ok(written)
    }

    /// Extends the write deadline by `pause`, in which nothing was written on purpose.
    pub(super) fn on_reads_paused(&mut self, pause: Duration) {
        if let Some(partial) = &mut self.partial {
            partial.deadline += pause;
        }
    }

    /// Returns whether the partially written frame has exceeded its deadline.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.partial
            .as_ref()
            .is_some_and(|partial| now >= partial.deadline)
    }

    /// Removes the frames for the next write: the partially written one, then replies, then bulk.
    ///
    /// `deadline` returns the write deadline of a frame, given its length.
    pub(super) fn next_batch(&mut self, deadline: impl Fn(usize) -> Instant) -> Option<Batch> {
        let partial = match self.partial.take() {
            Some(partial) => partial,
            None => {
                let (_, frame) = self.pop_front()?;
                let deadline = deadline(frame.len());
                PartialFrame {
                    frame,
                    written: 0,
                    deadline,
                }
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
    pub(super) fn requeue(
        &mut self,
        batch: Batch,
        mut written: usize,
        deadline: impl Fn(usize) -> Instant,
    ) {
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
                let deadline = deadline(frame.len());
                self.partial = Some(PartialFrame {
                    frame,
                    written,
                    deadline,
                });
                written = 0;
            } else {
                rest.push((priority, frame));
            }
        }
        for (priority, frame) in rest.into_iter().rev() {
            self.push_front(priority, frame);
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
    pub(super) fn written(&self, bytes: usize) -> WriteProgress {
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

    fn bytes_of(parts: &[IoSlice<'_>]) -> Vec<u8> {
        parts.iter().flat_map(|part| part.iter().copied()).collect()
    }

    /// Writes `step` bytes at a time and returns the whole stream.
    fn drain(queue: &mut SendQueue, step: usize) -> Vec<u8> {
        let now = Instant::now();
        let mut stream = Vec::new();
        while let Some(batch) = queue.next_batch(|_| now) {
            let bytes = bytes_of(&batch.parts());
            let written = bytes.len().min(step);
            stream.extend_from_slice(&bytes[..written]);
            queue.requeue(batch, written, |_| now);
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
            let mut queue = SendQueue::default();
            queue.requeue_partial(frames.iter().cloned(), written, |_| Instant::now());
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
            let mut queue = SendQueue::default();
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
        let now = Instant::now();
        let (first, second, reply) = (frame("a", 100), frame("b", 100), frame("r", 8));
        let mut queue = SendQueue::default();
        queue.push_back(Priority::Bulk, first.clone());
        queue.push_back(Priority::Bulk, second.clone());
        let batch = queue.next_batch(|_| now).unwrap();
        queue.requeue(batch, 10, |_| now);
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
        let mut queue = SendQueue::default();
        queue.push_back(Priority::Bulk, before.clone());
        assert!(queue.push_reply_after_bulk(pong.clone(), 1));
        queue.push_back(Priority::Bulk, behind.clone());
        assert!(queue.push_reply(reply.clone()));
        let whole = [reply, before, pong, behind];
        let whole = whole.map(|f| [f.header(), f.payload()].concat()).concat();
        assert_eq!(drain(&mut queue, usize::MAX), whole);
    }

    #[test]
    fn replies_after_bulk_have_their_own_bound() {
        for max_bulk in [0, 3] {
            let mut queue = SendQueue::default();
            (0..max_bulk).for_each(|_| queue.push_back(Priority::Bulk, frame("a", 8)));
            let push = |_: &u32| queue.push_reply_after_bulk(frame("p", 8), max_bulk);
            assert_eq!((0..).take_while(push).count(), MAX_REPLIES);
        }
        let mut queue = SendQueue::default();
        assert!(queue.push_reply_after_bulk(frame("p", 8), usize::MAX));
    }

    #[test]
    fn batch_excludes_long_frames() {
        let now = Instant::now();
        let mut queue = SendQueue::default();
        for len in [100, 200, MAX_BATCH_BYTES, 100] {
            queue.push_back(Priority::Bulk, frame("a", len));
        }
        let mut sizes = Vec::new();
        while let Some(batch) = queue.next_batch(|_| now) {
            sizes.push(batch.size().0);
        }
        assert_eq!(sizes, [2, 1, 1]);
    }

    #[test]
    fn unread_replies_are_bounded_by_count_and_bytes() {
        for (len, most) in [(8, MAX_REPLIES), (1000, MAX_REPLY_BYTES / 1024)] {
            let mut queue = SendQueue::default();
            let taken = (0..).take_while(|_| queue.push_reply(frame("r", len)));
            assert_eq!(taken.count(), most);
            assert!(queue.bytes() <= MAX_REPLY_BYTES);
        }
    }

    #[test]
    fn bytes_and_messages_are_counted_exactly() {
        let now = Instant::now();
        let mut queue = SendQueue::default();
        queue.push_back(Priority::Bulk, frame("a", 76));
        queue.push_back(Priority::Bulk, frame("b", 76));
        queue.push_back(Priority::Protocol, frame("r", 0));
        assert_eq!((queue.len(), queue.bytes()), (3, 224));
        assert_eq!(queue.queued_bulk(), (2, 200));
        let batch = queue.next_batch(|_| now).unwrap();
        assert_eq!(batch.size(), (3, 224));
        queue.requeue(batch, 24 + 30, |_| now);
        assert_eq!((queue.len(), queue.bytes()), (2, 170));
        assert_eq!(queue.queued_bulk(), (2, 170));
        assert_eq!(queue.partial.as_ref().unwrap().remaining(), 70);
    }
}
