//! Messages that came while something else was waited for.

use std::collections::VecDeque;

use crate::connection::inlet::Received;

/// What a kept message counts beyond its payload: many small ones cost memory too.
const OVERHEAD: u64 = 128;

/// A queue bounded in bytes: the oldest is dropped, and counted, to make room for the newest.
#[derive(Debug)]
pub(super) struct Kept {
    queue: VecDeque<Received>,
    /// How many were taken from the front, ever: the place of the oldest.
    taken: u64,
    bytes: u64,
    max_bytes: u64,
    dropped: u64,
}

impl Kept {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            taken: 0,
            bytes: 0,
            max_bytes,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, received: Received) {
        self.bytes += size(&received);
        self.queue.push_back(received);
        // The newest is kept whatever its size: it has been allowed into memory already.
        while self.bytes > self.max_bytes && self.queue.len() > 1 {
            self.pop();
            self.count_dropped();
        }
    }

    pub(super) fn pop(&mut self) -> Option<Received> {
        let received = self.queue.pop_front()?;
        self.bytes -= size(&received);
        self.taken += 1;
        Some(received)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The place behind the newest message: what comes later comes behind it.
    pub(super) fn end(&self) -> u64 {
        self.taken + self.queue.len() as u64
    }

    /// Takes out the first message behind the place `from` for which `take` gives something. `from` moves to that message's
    /// place, or to the end if there is none, so that nothing is looked at twice.
    pub(super) fn take_since<T>(
        &mut self,
        from: &mut u64,
        mut take: impl FnMut(&Received) -> Option<T>,
    ) -> Option<T> {
        let skip = usize::try_from(from.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        *from = self.end();
        let mut later = self.queue.iter().enumerate().skip(skip);
        let (at, taken) = later.find_map(|(at, received)| Some((at, take(received)?)))?;
        *from = self.taken + at as u64;
        if let Some(received) = self.queue.remove(at) {
            self.bytes -= size(&received);
        }
        Some(taken)
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
        Received::Message(_, weight) => weight.len + OVERHEAD,
        Received::PassedOver { .. } => OVERHEAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::inlet::Weight;
    use crate::wire::{Command, Message};

    fn message(len: u64) -> Received {
        Received::Message(Message::GetAddr, Weight { len, memory: None })
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let mut kept = Kept::new(2 * (100 + OVERHEAD));
        for len in [97, 98, 99] {
            kept.push(message(len));
        }
        assert_eq!(kept.dropped(), 1);
        assert!(matches!(
            kept.pop(),
            Some(Received::Message(_, Weight { len: 98, .. }))
        ));
        assert!(matches!(
            kept.pop(),
            Some(Received::Message(_, Weight { len: 99, .. }))
        ));
        assert!(kept.pop().is_none());
        assert_eq!(kept.bytes, 0);
    }

    #[test]
    fn the_newest_is_kept_whatever_its_size() {
        let mut kept = Kept::new(10);
        kept.push(message(1));
        kept.push(message(1_000));
        assert_eq!(kept.dropped(), 1);
        assert!(matches!(
            kept.pop(),
            Some(Received::Message(_, Weight { len: 1_000, .. }))
        ));
    }

    #[test]
    fn a_message_can_be_taken_out_of_the_middle() {
        let mut kept = Kept::new(10_000);
        kept.push(message(1));
        kept.push(Received::PassedOver {
            command: Command::new("block"),
            len: 7,
        });
        kept.push(message(2));
        let passed_over = |received: &Received| match received {
            Received::PassedOver { len, .. } => Some(*len),
            Received::Message(..) => None,
        };
        let mut place = kept.end();
        assert_eq!(
            kept.take_since(&mut place, passed_over),
            None,
            "it came before"
        );
        assert!(kept.pop().is_some());
        assert_eq!(kept.take_since(&mut 1, passed_over), Some(7));
        assert_eq!(kept.bytes, 2 + OVERHEAD);
    }
}
