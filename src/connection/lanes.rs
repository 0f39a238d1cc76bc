//! Send queue: the partially written frame, replies and bulk messages.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use crate::wire::{COPY_THRESHOLD, EncodedFrame};

/// The maximum number of frames in one write.
const GATHERED_FRAMES: usize = 32;
/// The maximum number of bytes in one write. A longer first frame is written alone.
const GATHERED_BYTES: usize = 64 * 1024;
/// The maximum number of bytes of queued replies. Limits a peer that sends requests but does not
/// read.
const REPLY_BYTES: usize = 1024 * 1024;
/// The maximum number of queued replies.
const REPLY_MESSAGES: usize = 4096;

/// The queue of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Protocol messages and keepalives, sent right after the frame that is being written. Pongs on
    /// a block stream are queued as bulk.
    Reply,
    /// Messages of the caller.
    Bulk,
}

/// A frame that may be partially written. Its rest must be written before any other frame.
#[derive(Debug)]
pub(super) struct BegunFrame {
    pub(super) frame: EncodedFrame,
    pub(super) written: usize,
    /// The time by which the whole frame must be written.
    pub(super) deadline: Instant,
}

impl BegunFrame {
    pub(super) fn missing(&self) -> usize {
        self.frame.len() - self.written
    }

    fn parts(&self) -> [IoSlice<'_>; 2] {
        let header = self.frame.header();
        let payload = self.frame.payload();
        let behind_header = self.written.saturating_sub(header.len());
        [
            IoSlice::new(&header[self.written.min(header.len())..]),
            IoSlice::new(&payload[behind_header..]),
        ]
    }
}

/// The reply queue, the bulk queue and the partially written frame.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    pub(super) begun: Option<BegunFrame>,
    replies: VecDeque<EncodedFrame>,
    bulk: VecDeque<EncodedFrame>,
    reply_bytes: usize,
    bulk_bytes: usize,
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_none() && self.replies.is_empty() && self.bulk.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.begun.is_some()) + self.replies.len() + self.bulk.len()
    }

    /// Returns the number of queued bytes, including the rest of the partially written frame.
    pub(super) fn bytes(&self) -> usize {
        let begun = self.begun.as_ref().map_or(0, BegunFrame::missing);
        begun + self.reply_bytes + self.bulk_bytes
    }

    /// Returns the number of queued bulk messages and their bytes. The partially written frame
    /// counts as bulk.
    pub(super) fn bulk_load(&self) -> (usize, usize) {
        let begun = self.begun.as_ref();
        (
            usize::from(begun.is_some()) + self.bulk.len(),
            begun.map_or(0, BegunFrame::missing) + self.bulk_bytes,
        )
    }

    pub(super) fn push_back(&mut self, lane: Lane, frame: EncodedFrame) {
        *self.bytes_mut(lane) += frame.len();
        self.queue_mut(lane).push_back(frame);
    }

    /// Queues a reply. Returns `false` if the reply queue is full, because the peer does not read.
    #[must_use]
    pub(super) fn push_reply(&mut self, frame: EncodedFrame) -> bool {
        let room =
            self.reply_bytes + frame.len() <= REPLY_BYTES && self.replies.len() < REPLY_MESSAGES;
        if room {
            self.push_back(Lane::Reply, frame);
        }
        room
    }

    /// Queues a reply after the pending bulk messages. Returns `false` if the bulk queue is full.
    ///
    /// The bulk queue holds at most `max_bulk` messages, plus the maximum number of replies.
    #[must_use]
    pub(super) fn push_reply_behind_bulk(&mut self, frame: EncodedFrame, max_bulk: usize) -> bool {
        let room = self.bulk.len() < max_bulk.saturating_add(REPLY_MESSAGES);
        if room {
            self.push_back(Lane::Bulk, frame);
        }
        room
    }

    /// Queues the rest of small frames after a single write of `written` bytes. Nothing else may be
    /// queued.
    pub(super) fn put_rest(
        &mut self,
        frames: impl Iterator<Item = EncodedFrame>,
        mut written: usize,
        deadline: impl Fn(usize) -> Instant,
    ) {
        for frame in frames {
            let len = frame.len();
            if self.begun.is_some() {
                self.push_back(Lane::Reply, frame);
            } else if written < len {
                let deadline = deadline(len);
                self.begun = Some(BegunFrame {
                    frame,
                    written,
                    deadline,
                });
            } else {
                written -= len;
            }
        }
    }

    fn push_front(&mut self, lane: Lane, frame: EncodedFrame) {
        *self.bytes_mut(lane) += frame.len();
        self.queue_mut(lane).push_front(frame);
    }

    fn pop_front(&mut self) -> Option<(Lane, EncodedFrame)> {
        self.pop_front_within(usize::MAX)
    }

    /// Removes the next frame if it has at most `len` bytes.
    fn pop_front_within(&mut self, len: usize) -> Option<(Lane, EncodedFrame)> {
        let lane = if self.replies.is_empty() {
            Lane::Bulk
        } else {
            Lane::Reply
        };
        let queue = self.queue_mut(lane);
        if queue.front()?.len() > len {
            return None;
        }
        let frame = queue.pop_front()?;
        *self.bytes_mut(lane) -= frame.len();
        Some((lane, frame))
    }

    fn queue_mut(&mut self, lane: Lane) -> &mut VecDeque<EncodedFrame> {
        match lane {
            Lane::Reply => &mut self.replies,
            Lane::Bulk => &mut self.bulk,
        }
    }

    fn bytes_mut(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Reply => &mut self.reply_bytes,
            Lane::Bulk => &mut self.bulk_bytes,
        }
    }

    /// Calls `write` once with the first frames. If it fails, these frames are lost.
    pub(super) fn write(
        &mut self,
        deadline: impl Fn(usize) -> Instant,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Written> {
        let Some(batch) = self.gather(&deadline) else {
            return Ok(Written::default());
        };
        let written = batch.written(write(&batch.parts())?);
        self.put_back(batch, written.bytes, deadline);
        Ok(written)
    }

    /// Extends the write deadline by `pause`, in which nothing was written on purpose.
    pub(super) fn on_reads_paused(&mut self, pause: Duration) {
        if let Some(begun) = &mut self.begun {
            begun.deadline += pause;
        }
    }

    /// Returns whether the partially written frame has exceeded its deadline.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.begun
            .as_ref()
            .is_some_and(|begun| now >= begun.deadline)
    }

    /// Removes the frames for the next write: the partially written one, then replies, then bulk.
    ///
    /// `deadline` returns the write deadline of a frame, given its length.
    pub(super) fn gather(&mut self, deadline: impl Fn(usize) -> Instant) -> Option<Batch> {
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => {
                let (_, frame) = self.pop_front()?;
                let deadline = deadline(frame.len());
                BegunFrame {
                    frame,
                    written: 0,
                    deadline,
                }
            }
        };
        let mut bytes = begun.missing();
        let mut others = Vec::new();
        while others.len() + 1 < GATHERED_FRAMES {
            // A long frame stays in the queue, so that later replies are sent before it.
            let room = GATHERED_BYTES.saturating_sub(bytes);
            let Some((lane, frame)) = self.pop_front_within(room) else {
                break;
            };
            bytes += frame.len();
            others.push((lane, frame));
        }
        Some(Batch { begun, others })
    }

    /// Puts the unwritten frames of a batch back into their queues.
    pub(super) fn put_back(
        &mut self,
        batch: Batch,
        mut written: usize,
        deadline: impl Fn(usize) -> Instant,
    ) {
        let Batch { mut begun, others } = batch;
        if written < begun.missing() {
            begun.written += written;
            self.begun = Some(begun);
            written = 0;
        } else {
            written -= begun.missing();
        }
        let mut rest = Vec::new();
        for (lane, frame) in others {
            if written >= frame.len() {
                written -= frame.len();
            } else if written > 0 {
                let deadline = deadline(frame.len());
                self.begun = Some(BegunFrame {
                    frame,
                    written,
                    deadline,
                });
                written = 0;
            } else {
                rest.push((lane, frame));
            }
        }
        for (lane, frame) in rest.into_iter().rev() {
            self.push_front(lane, frame);
        }
    }
}

/// The result of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bytes: usize,
    /// Whether bytes of a frame were written that is long enough to delay others.
    pub(super) large: bool,
}

/// The frames of one write.
#[derive(Debug)]
pub(super) struct Batch {
    begun: BegunFrame,
    others: Vec<(Lane, EncodedFrame)>,
}

impl Batch {
    /// Returns the number of messages and bytes.
    pub(super) fn load(&self) -> (usize, usize) {
        let others = self.others.iter().map(|(_, frame)| frame.len());
        (
            1 + self.others.len(),
            self.begun.missing() + others.sum::<usize>(),
        )
    }

    /// Converts a number of written bytes into [`Written`].
    pub(super) fn written(&self, bytes: usize) -> Written {
        let large = bytes > 0 && self.begun.frame.len() as u64 >= COPY_THRESHOLD;
        Written { bytes, large }
    }

    pub(super) fn parts(&self) -> Vec<IoSlice<'_>> {
        let mut parts = Vec::with_capacity(2 + 2 * self.others.len());
        parts.extend(self.begun.parts());
        for (_, frame) in &self.others {
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
    fn drain(lanes: &mut Lanes, step: usize) -> Vec<u8> {
        let now = Instant::now();
        let mut stream = Vec::new();
        while let Some(batch) = lanes.gather(|_| now) {
            let bytes = bytes_of(&batch.parts());
            let written = bytes.len().min(step);
            stream.extend_from_slice(&bytes[..written]);
            lanes.put_back(batch, written, |_| now);
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
            let mut lanes = Lanes::default();
            lanes.put_rest(frames.iter().cloned(), written, |_| Instant::now());
            assert_eq!(lanes.bytes(), whole.len() - written);
            let stream = [&whole[..written], &drain(&mut lanes, usize::MAX)].concat();
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
            let mut lanes = Lanes::default();
            frames
                .iter()
                .for_each(|frame| lanes.push_back(Lane::Bulk, frame.clone()));
            assert_eq!(drain(&mut lanes, step), whole, "{step} bytes a write");
            assert!(lanes.is_empty());
            assert_eq!(lanes.bytes(), 0);
        }
    }

    #[test]
    fn reply_overtakes_bulk_between_frames_only() {
        let now = Instant::now();
        let (first, second, reply) = (frame("a", 100), frame("b", 100), frame("r", 8));
        let mut lanes = Lanes::default();
        lanes.push_back(Lane::Bulk, first.clone());
        lanes.push_back(Lane::Bulk, second.clone());
        let batch = lanes.gather(|_| now).unwrap();
        lanes.put_back(batch, 10, |_| now);
        lanes.push_back(Lane::Reply, reply.clone());

        let whole = [first, reply, second]
            .map(|f| [f.header(), f.payload()].concat())
            .concat();
        assert_eq!(drain(&mut lanes, usize::MAX), &whole[10..]);
    }

    #[test]
    fn ordered_reply_waits_only_for_earlier_bulk() {
        let (before, behind) = (frame("a", 100), frame("b", 100));
        let (pong, reply) = (frame("p", 8), frame("r", 8));
        let mut lanes = Lanes::default();
        lanes.push_back(Lane::Bulk, before.clone());
        assert!(lanes.push_reply_behind_bulk(pong.clone(), 1));
        lanes.push_back(Lane::Bulk, behind.clone());
        assert!(lanes.push_reply(reply.clone()));
        let whole = [reply, before, pong, behind];
        let whole = whole.map(|f| [f.header(), f.payload()].concat()).concat();
        assert_eq!(drain(&mut lanes, usize::MAX), whole);
    }

    #[test]
    fn replies_after_bulk_have_their_own_bound() {
        for max_bulk in [0, 3] {
            let mut lanes = Lanes::default();
            (0..max_bulk).for_each(|_| lanes.push_back(Lane::Bulk, frame("a", 8)));
            let push = |_: &u32| lanes.push_reply_behind_bulk(frame("p", 8), max_bulk);
            assert_eq!((0..).take_while(push).count(), REPLY_MESSAGES);
        }
        let mut lanes = Lanes::default();
        assert!(lanes.push_reply_behind_bulk(frame("p", 8), usize::MAX));
    }

    #[test]
    fn a_write_takes_no_long_frame_along() {
        let now = Instant::now();
        let mut lanes = Lanes::default();
        for len in [100, 200, GATHERED_BYTES, 100] {
            lanes.push_back(Lane::Bulk, frame("a", len));
        }
        let mut sizes = Vec::new();
        while let Some(batch) = lanes.gather(|_| now) {
            sizes.push(batch.load().0);
        }
        assert_eq!(sizes, [2, 1, 1]);
    }

    #[test]
    fn unread_replies_are_bounded_by_count_and_bytes() {
        for (len, most) in [(8, REPLY_MESSAGES), (1000, REPLY_BYTES / 1024)] {
            let mut lanes = Lanes::default();
            let taken = (0..).take_while(|_| lanes.push_reply(frame("r", len)));
            assert_eq!(taken.count(), most);
            assert!(lanes.bytes() <= REPLY_BYTES);
        }
    }

    #[test]
    fn bytes_and_messages_are_counted_exactly() {
        let now = Instant::now();
        let mut lanes = Lanes::default();
        lanes.push_back(Lane::Bulk, frame("a", 76));
        lanes.push_back(Lane::Bulk, frame("b", 76));
        lanes.push_back(Lane::Reply, frame("r", 0));
        assert_eq!((lanes.len(), lanes.bytes()), (3, 224));
        assert_eq!(lanes.bulk_load(), (2, 200));
        let batch = lanes.gather(|_| now).unwrap();
        assert_eq!(batch.load(), (3, 224));
        lanes.put_back(batch, 24 + 30, |_| now);
        assert_eq!((lanes.len(), lanes.bytes()), (2, 170));
        assert_eq!(lanes.bulk_load(), (2, 170));
        assert_eq!(lanes.begun.as_ref().unwrap().missing(), 70);
    }
}
