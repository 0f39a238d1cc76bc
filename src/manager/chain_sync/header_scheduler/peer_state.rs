//! The state of one connected peer in the header scheduler.

use std::time::{Duration, Instant};

use super::super::source::{PeerClass, SourceKey};
use crate::wire::BlockHash;

/// Age of a request after which another source is queried in addition.
///
/// The source of the request then does not count for a synchronized chain.
pub(in crate::manager::chain_sync) const HEDGE_AFTER: Duration = Duration::from_secs(2);
/// Time without a received byte after which a request is canceled.
pub(in crate::manager::chain_sync) const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum age of a request. It is then canceled in any case.
pub(in crate::manager::chain_sync) const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// Time before the minimum rate applies to a source that always has more headers.
pub(in crate::manager::chain_sync) const RATE_GRACE: Duration = Duration::from_secs(10);
/// Time for which a source below the minimum rate delays waiters.
pub(in crate::manager::chain_sync) const SYNC_GRACE: Duration = Duration::from_secs(2);
/// Minimum rate of a source that always has more headers, in headers per second.
const MIN_RATE: f64 = 100.0;
/// Rate below which other sources are queried at the same time, in headers per second.
const FAST_RATE: f64 = 1_000.0;
/// Weight of the latest answer in the measured rate.
const RATE_SHARE: f64 = 0.3;
/// Minimum number of headers in a single answer that measures the rate.
const MEASURED_HEADERS: usize = 100;

/// Whether a source has more headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The source was not queried since the last event that could have changed its headers.
    Unknown,
    /// The last answer made progress, so the source may have more headers.
    HasMore,
    /// The last answer had nothing new.
    Done,
}

/// Why a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The source has more headers.
    Download,
    /// It is unknown whether the source has more headers.
    Probe,
}

/// A request that has no answer yet.
#[derive(Clone, Copy, Debug)]
pub(in crate::manager::chain_sync) struct OpenRequest {
    pub(in crate::manager::chain_sync) id: u64,
    /// The first hash of the locator.
    pub(in crate::manager::chain_sync) start: BlockHash,
    /// Whether the request continues a branch or known headers instead of the active chain.
    pub(in crate::manager::chain_sync) is_resumed: bool,
    pub(super) purpose: Purpose,
    pub(super) sent_at: Instant,
    /// The time of the last received byte.
    pub(super) progress_at: Instant,
    /// The round of the scheduler when the request was sent.
    pub(super) round: u64,
    /// The number of the last waiter when the request was sent.
    pub(super) waiter: u64,
    /// The number of the last announcement before the request.
    pub(super) announcement: u64,
}

impl OpenRequest {
    pub(super) fn is_late(&self, now: Instant) -> bool {
        now >= self.sent_at + HEDGE_AFTER
    }

    /// Returns when the request is canceled.
    pub(super) fn deadline(&self) -> Instant {
        (self.sent_at + REPLY_TIMEOUT).min(self.progress_at + STALL_TIMEOUT)
    }
}

/// The announcements of unknown blocks since the source last had nothing new.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement {
    /// The block that was announced last.
    pub(super) hash: BlockHash,
    /// The number of the last announcement.
    pub(super) number: u64,
    /// The number of the first announcement.
    first: u64,
}

/// A series of answers that all made progress.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streak {
    /// The time during which requests were open.
    busy: Duration,
    headers: usize,
    answers: u32,
}

impl Streak {
    /// Returns whether the series is below the minimum rate.
    fn is_slow(&self) -> bool {
        (self.headers as f64) < MIN_RATE * self.busy.as_secs_f64()
    }

    /// Adds the duration of an unanswered request.
    pub(super) fn add_unanswered(&mut self, elapsed: Duration) {
        self.busy += elapsed;
    }
}

/// A connected peer.
#[derive(Debug)]
pub(super) struct PeerState {
    pub(super) key: SourceKey,
    pub(super) class: PeerClass,
    pub(super) progress: Progress,
    pub(super) announced: Option<Announcement>,
    pub(super) request: Option<OpenRequest>,
    /// The end of the delay after a request that could not be sent.
    pub(super) busy_until: Option<Instant>,
    /// The header from which the next request continues, and its height.
    pub(super) resume: Option<(BlockHash, u32)>,
    /// The round for which the source last had nothing new.
    pub(super) done_round: u64,
    /// The waiter for which the source last had nothing new.
    pub(super) done_waiter: u64,
    pub(super) streak: Option<Streak>,
    /// The measured rate in headers per second.
    rate: Option<f64>,
}

impl PeerState {
    pub(super) fn new(class: PeerClass, key: SourceKey) -> Self {
        Self {
            key,
            class,
            progress: Progress::Unknown,
            announced: None,
            request: None,
            busy_until: None,
            resume: None,
            done_round: 0,
            done_waiter: 0,
            streak: None,
            rate: None,
        }
    }

    /// Returns whether the peer has or announced headers that are not yet verified.
    pub(super) fn has_more(&self) -> bool {
        self.progress == Progress::HasMore || self.announced.is_some()
    }

    /// Returns whether the peer always has more, but is too slow for waiters to wait for it.
    pub(super) fn is_trickling(&self) -> bool {
        // A single late answer is not a series.
        let is_slow = |one: Streak| one.answers > 1 && one.busy >= SYNC_GRACE && one.is_slow();
        self.streak.is_some_and(is_slow)
    }

    /// Returns whether a request can be sent.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.request.is_none() && self.busy_until.is_none_or(|until| now >= until)
    }

    /// Discards everything except the measured rate and the open request.
    pub(super) fn reset(&mut self) {
        self.progress = Progress::Unknown;
        self.announced = None;
        self.resume = None;
        self.streak = None;
        (self.done_round, self.done_waiter) = (0, 0);
    }

    /// Returns whether an open request continues a download that other sources can wait for.
    ///
    /// A source that is late, not measured as fast, or has only announced a block must not delay
    /// the others.
    pub(super) fn is_downloading(&self, now: Instant) -> bool {
        let request = self.request.filter(|one| one.purpose == Purpose::Download);
        let has_sent = self.streak.is_some_and(|streak| streak.headers > 0);
        let is_fast = self.rate.is_some_and(|rate| rate >= FAST_RATE);
        has_sent && is_fast && request.is_some_and(|one| !one.is_late(now))
    }

    /// Returns the order in which peers are preferred for a download: fast ones, then those
    /// without a measured rate, then slow ones.
    pub(super) fn rate_rank(&self) -> (u8, u64) {
        let rate = self.rate.unwrap_or(0.0);
        let rank = match self.rate {
            Some(rate) if rate >= FAST_RATE => 0,
            None => 1,
            Some(_) => 2,
        };
        (rank, u64::MAX - rate as u64)
    }

    /// Records the announcement of an unknown block.
    pub(super) fn on_announced(&mut self, hash: BlockHash, number: u64) {
        let first = self.announced.map_or(number, |before| before.first);
        self.announced = Some(Announcement {
            hash,
            number,
            first,
        });
    }

    /// Ends the announcements before a request whose answer had nothing new.
    ///
    /// Returns whether there were any. Announcements after the request remain, but do not excuse
    /// the earlier ones: a source could otherwise announce unknown blocks forever.
    pub(super) fn end_announcements(&mut self, request: &OpenRequest) -> bool {
        let Some(announced) = &mut self.announced else {
            return false;
        };
        let is_empty = announced.first <= request.announcement;
        if announced.number <= request.announcement {
            self.announced = None;
        } else if is_empty {
            announced.first = announced.number;
        }
        is_empty
    }

    /// Records an answer that made progress. Returns whether the series is below the minimum rate.
    pub(super) fn on_more(&mut self, headers: usize, elapsed: Duration) -> bool {
        self.progress = Progress::HasMore;
        let streak = self.streak.get_or_insert_default();
        streak.busy += elapsed;
        streak.headers += headers;
        streak.answers += 1;
        let is_measured = headers >= MEASURED_HEADERS || streak.answers > 1;
        let is_too_slow = streak.busy >= RATE_GRACE && streak.is_slow();
        if is_measured {
            let latest = headers as f64 / elapsed.max(Duration::from_millis(1)).as_secs_f64();
            let before = self.rate.unwrap_or(latest);
            self.rate = Some(before + RATE_SHARE * (latest - before));
        }
        is_too_slow
    }

    /// Records an answer that had nothing new.
    pub(super) fn on_done(&mut self, request: &OpenRequest) {
        self.progress = Progress::Done;
        self.resume = None;
        self.streak = None;
        self.done_round = request.round;
        self.done_waiter = request.waiter;
    }
}
