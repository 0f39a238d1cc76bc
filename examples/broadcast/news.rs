//! Detects new responses of peers to a transaction.

use std::time::{Duration, Instant};

use bsv_p2p::manager::{BroadcastReport, Rejection};
use bsv_p2p::peers::PeerRef;

/// A response of a peer to the transaction.
pub(crate) enum News {
    /// The peer requested the transaction.
    Requested { peer: PeerRef },
    /// The peer rejected the transaction.
    Rejected(Rejection),
    /// The peer announced the transaction, so another node relayed it to this peer.
    Relayed { peer: PeerRef },
}

/// Number of responses returned so far.
pub(crate) struct Watch {
    /// Number of entries of `requested_by` returned so far.
    requested: usize,
    /// Number of entries of `rejected_by` returned so far.
    rejected: usize,
    /// Number of entries of `relayed_by` returned so far.
    relayed: usize,
    last_news: Instant,
}

impl Watch {
    /// Creates a watch without responses.
    pub(crate) fn new() -> Self {
        Self {
            requested: 0,
            rejected: 0,
            relayed: 0,
            last_news: Instant::now(),
        }
    }

    /// Returns the responses in `report` that were not returned before.
    ///
    /// The lists of a report only grow, so their lengths identify the new entries.
    pub(crate) fn news(&mut self, report: &BroadcastReport) -> Vec<News> {
        let mut news = Vec::new();
        for &peer in report.requested_by.iter().skip(self.requested) {
            news.push(News::Requested { peer });
        }
        for rejection in report.rejected_by.iter().skip(self.rejected) {
            news.push(News::Rejected(rejection.clone()));
        }
        for &peer in report.relayed_by.iter().skip(self.relayed) {
            news.push(News::Relayed { peer });
        }
        self.requested = report.requested_by.len();
        self.rejected = report.rejected_by.len();
        self.relayed = report.relayed_by.len();
        if !news.is_empty() {
            self.last_news = Instant::now();
        }
        news
    }

    /// Returns the time since the last new response, or since the creation if there was none.
    pub(crate) fn silent_for(&self) -> Duration {
        self.last_news.elapsed()
    }
}
