//! Detects new responses of peers to a transaction.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::manager::{BroadcastReport, Rejection};
use bsv_p2p::peers::PeerId;

/// A response of a peer to the transaction.
pub(crate) enum News {
    /// The peer requested the transaction.
    Asked { peer: String },
    /// The peer rejected the transaction.
    Rejected(Rejection),
    /// The peer announced the transaction, so another node relayed it to this peer.
    Echoed { peer: String },
}

/// Number of responses returned so far, and the addresses of the peers.
pub(crate) struct Watch {
    events: EventReceiver<ControlEvent>,
    addresses: HashMap<PeerId, String>,
    /// Number of entries of `asked_by` returned so far.
    asked: usize,
    /// Number of entries of `rejected_by` returned so far.
    rejected: usize,
    /// Number of entries of `echoed_by` returned so far.
    echoed: usize,
    last_news: Instant,
}

impl Watch {
    /// Creates a watch without responses.
    ///
    /// The subscription `events` should start before the manager does. Otherwise the addresses of
    /// some peers are missing.
    pub(crate) fn new(events: EventReceiver<ControlEvent>) -> Self {
        Self {
            events,
            addresses: HashMap::new(),
            asked: 0,
            rejected: 0,
            echoed: 0,
            last_news: Instant::now(),
        }
    }

    /// Returns the responses in `report` that were not returned before.
    ///
    /// The lists of a report only grow, so their lengths identify the new entries.
    pub(crate) fn news(&mut self, report: &BroadcastReport) -> Vec<News> {
        self.learn_addresses();
        let mut news = Vec::new();
        for peer in report.asked_by.iter().skip(self.asked) {
            let peer = self.address(peer);
            news.push(News::Asked { peer });
        }
        for rejection in report.rejected_by.iter().skip(self.rejected) {
            news.push(News::Rejected(rejection.clone()));
        }
        for peer in report.echoed_by.iter().skip(self.echoed) {
            let peer = self.address(peer);
            news.push(News::Echoed { peer });
        }
        self.asked = report.asked_by.len();
        self.rejected = report.rejected_by.len();
        self.echoed = report.echoed_by.len();
        if !news.is_empty() {
            self.last_news = Instant::now();
        }
        news
    }

    /// Returns the time since the last new response, or since the creation if there was none.
    pub(crate) fn silent_for(&self) -> Duration {
        self.last_news.elapsed()
    }

    /// Returns the address of a peer, or its id if the address is unknown.
    pub(crate) fn address(&self, peer_id: &PeerId) -> String {
        let known = self.addresses.get(peer_id).cloned();
        known.unwrap_or_else(|| peer_id.to_string())
    }

    /// Records the addresses in pending events. The addresses of closed connections are kept.
    fn learn_addresses(&mut self) {
        // A subscription to control events never fails.
        for event in self.events.try_iter().flatten() {
            if let ControlEvent::HandshakeComplete {
                peer_id, address, ..
            } = event
            {
                self.addresses.insert(peer_id, address.to_string());
            }
        }
    }
}
