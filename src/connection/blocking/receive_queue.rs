//! Receive queue of a blocking connection.

use std::collections::VecDeque;

use crate::connection::message_reader::Received;

/// The number of bytes that a queued message counts in addition to its payload.
///
/// A message has an allocation of its own, and the queue has up to twice the capacity that it
/// needs.
const OVERHEAD: u64 = 256;

/// A queue of received messages, bounded in bytes. If it is full, the oldest are dropped and
/// counted.
#[derive(Debug)]
pub(super) struct ReceiveQueue {
    queue: VecDeque<Received>,
    bytes: u64,
    max_bytes: u64,
    dropped: u64,
}

impl ReceiveQueue {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            max_bytes,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, received: Received) {
        self.bytes += size(&received);
        self.queue.push_back(received);
        // The newest message is kept whatever its size, because the payload limits allowed it.
        while self.bytes > self.max_bytes && self.queue.len() > 1 {
            self.pop();
            self.count_dropped();
        }
    }

    pub(super) fn pop(&mut self) -> Option<Received> {
        let received = self.queue.pop_front()?;
        self.bytes -= size(&received);
        Some(received)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn count_dropped(&mut self) {
        self.dropped += 1;
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn size(received: &Received) -> u64 {
    match received {
        Received::Message(message) => message.payload_len() + OVERHEAD,
        Received::Discarded { .. } => OVERHEAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SharedMessage;
    use crate::wire::Message;

    fn message(len: u64) -> Received {
        Received::Message(SharedMessage::new(Message::GetAddr, len))
    }

    /// Messages without content take the most memory in relation to their payload.
    #[test]
    fn memory_of_queue_stays_within_its_limit() {
        const MAX: u64 = 1024 * 1024;
        let mut queue = ReceiveQueue::new(MAX);
        let used = allocation_counter::measure(|| {
            for _ in 0..10_000 {
                queue.push(message(0));
            }
        });
        assert!(queue.dropped() > 0, "the queue is full");
        let used = used.bytes_current;
        assert!(used > 0 && used as u64 <= MAX, "{used} bytes");
    }

    fn is_of(received: Option<Received>, len: u64) -> bool {
        matches!(received, Some(Received::Message(message)) if message.payload_len() == len)
    }

    #[test]
    fn oldest_messages_are_dropped_and_counted() {
        let mut queue = ReceiveQueue::new(2 * (100 + OVERHEAD));
        for len in [97, 98, 99] {
            queue.push(message(len));
        }
        assert_eq!(queue.dropped(), 1);
        assert!(is_of(queue.pop(), 98));
        assert!(is_of(queue.pop(), 99));
        assert!(queue.pop().is_none());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn newest_message_is_kept_whatever_its_size() {
        let mut queue = ReceiveQueue::new(10);
        queue.push(message(1));
        queue.push(message(1_000));
        assert_eq!(queue.dropped(), 1);
        assert!(is_of(queue.pop(), 1_000));
    }
}
