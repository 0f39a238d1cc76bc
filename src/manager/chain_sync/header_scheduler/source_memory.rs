//! Remembers the bad behavior of sources across reconnections.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::source::SourceKey;
use super::peer_state::Streak;

/// Time for which a source is not used after bad behavior.
pub(in crate::manager::chain_sync) const AVOID_DURATION: Duration = Duration::from_secs(60);
/// Maximum number of sources remembered.
const MAX_RECORDS: usize = 4096;
/// Number of consecutive announcements without a new header after which a source is avoided.
pub(in crate::manager::chain_sync) const MAX_EMPTY_ANNOUNCEMENTS: u32 = 3;
/// Number of consecutive unanswered requests after which a source is disconnected.
const MAX_UNANSWERED: u32 = 2;

/// The reason why a source is avoided, in ascending severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::manager::chain_sync) enum AvoidReason {
    /// The source sends too few headers per second, or side chains with too little work.
    Slow,
    /// The source did not answer a request.
    NoReply,
    /// The source announced blocks that it did not have.
    EmptyAnnouncements,
    /// The source sent headers that violate a rule.
    Invalid,
}

/// The remembered behavior of all sources, bounded in number.
#[derive(Debug, Default)]
pub(super) struct SourceMemory {
    records: HashMap<SourceKey, Record>,
}

#[derive(Debug)]
struct Record {
    avoided: Option<(AvoidReason, Instant)>,
    /// Consecutive unanswered requests, and the time of the first of them.
    unanswered: u32,
    unanswered_since: Instant,
    empty_announcements: u32,
    /// The series of answers of a closed connection.
    streak: Option<Streak>,
    changed_at: Instant,
}

impl SourceMemory {
    /// Avoids a source for [`AVOID_DURATION`].
    pub(super) fn avoid(&mut self, key: SourceKey, reason: AvoidReason, now: Instant) {
        self.record(key, now).avoided = Some((reason, now + AVOID_DURATION));
    }

    pub(super) fn stop_avoiding(&mut self, key: SourceKey) {
        if let Some(record) = self.records.get_mut(&key) {
            record.avoided = None;
        }
    }

    /// Returns why and until when a source is avoided.
    pub(super) fn avoided(&self, key: SourceKey, now: Instant) -> Option<(AvoidReason, Instant)> {
        let avoided = self.records.get(&key)?.avoided;
        avoided.filter(|(_, until)| now < *until)
    }

    /// Records an unanswered request that was sent at `sent_at`.
    pub(super) fn on_no_reply(&mut self, key: SourceKey, sent_at: Instant, now: Instant) {
        let record = self.record(key, now);
        if record.unanswered == 0 {
            record.unanswered_since = sent_at;
        }
        record.unanswered += 1;
    }

    pub(super) fn on_reply(&mut self, key: SourceKey) {
        if let Some(record) = self.records.get_mut(&key) {
            record.unanswered = 0;
        }
    }

    /// Stores the series of answers of a closed connection.
    pub(super) fn keep_streak(&mut self, key: SourceKey, streak: Streak, now: Instant) {
        self.record(key, now).streak = Some(streak);
    }

    pub(super) fn take_streak(&mut self, key: SourceKey) -> Option<Streak> {
        self.records.get_mut(&key)?.streak.take()
    }

    /// Returns whether the last request to a source was not answered.
    pub(super) fn is_silent(&self, key: SourceKey) -> bool {
        self.records.get(&key).is_some_and(|one| one.unanswered > 0)
    }

    /// Returns whether a source left several requests unanswered while the local network works.
    ///
    /// `last_reply` of another source shows the latter.
    pub(super) fn is_useless(&self, key: SourceKey, last_reply: Option<Instant>) -> bool {
        let (Some(record), Some(last_reply)) = (self.records.get(&key), last_reply) else {
            return false;
        };
        record.unanswered >= MAX_UNANSWERED && last_reply > record.unanswered_since
    }

    /// Records an announcement without a new header. Returns whether the limit is reached.
    pub(super) fn on_empty_announcement(&mut self, key: SourceKey, now: Instant) -> bool {
        let record = self.record(key, now);
        record.empty_announcements += 1;
        let is_limit = record.empty_announcements >= MAX_EMPTY_ANNOUNCEMENTS;
        if is_limit {
            record.empty_announcements = 0;
        }
        is_limit
    }

    pub(super) fn on_confirmed_announcement(&mut self, key: SourceKey) {
        if let Some(record) = self.records.get_mut(&key) {
            record.empty_announcements = 0;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    fn record(&mut self, key: SourceKey, now: Instant) -> &mut Record {
        if self.records.len() >= MAX_RECORDS && !self.records.contains_key(&key) {
            self.make_space(now);
        }
        let record = self.records.entry(key).or_insert_with(|| Record {
            avoided: None,
            unanswered: 0,
            unanswered_since: now,
            empty_announcements: 0,
            streak: None,
            changed_at: now,
        });
        record.changed_at = now;
        record
    }

    /// Removes the records older than [`AVOID_DURATION`], or else the oldest one.
    fn make_space(&mut self, now: Instant) {
        let is_recent = |record: &Record| now < record.changed_at + AVOID_DURATION;
        self.records.retain(|_, record| is_recent(record));
        if self.records.len() < MAX_RECORDS {
            return;
        }
        let oldest = self.records.iter().min_by_key(|(_, one)| one.changed_at);
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.records.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn full_memory_evicts_oldest_record() {
        let now = Instant::now();
        let key = |number: usize| SourceKey::Host(Ipv4Addr::from(number as u32));
        let mut memory = SourceMemory::default();
        for number in 0..=MAX_RECORDS {
            let at = now + Duration::from_millis(number as u64);
            memory.avoid(key(number), AvoidReason::Slow, at);
        }
        assert_eq!(memory.records.len(), MAX_RECORDS);
        assert!(memory.avoided(key(0), now).is_none());
        assert!(memory.avoided(key(1), now).is_some());
        memory.avoid(key(0), AvoidReason::Slow, now + 2 * AVOID_DURATION);
        assert_eq!(memory.records.len(), 1);
    }
}
