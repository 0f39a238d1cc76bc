//! What is new of a transaction from one look to the next.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::manager::{BroadcastReport, Rejection};
use crossbeam_channel::Receiver;
use uuid::Uuid;

/// Something that has happened.
pub(crate) enum News {
    /// The peer wants to have it.
    Asked { peer: String },
    /// The peer does not take it.
    Rejected(Rejection),
    /// The peer has it from somebody else: the network passes it on.
    Echoed { peer: String },
}

/// What has been told so far, and where peers are.
pub(crate) struct Watch {
    events: Receiver<ControlEvent>,
    addresses: HashMap<Uuid, String>,
    asked: usize,
    rejected: usize,
    echoed: usize,
    last_news: Instant,
}

impl Watch {
    /// Subscribed to `events` before the manager has started, it knows all peers.
    pub(crate) fn new(events: Receiver<ControlEvent>) -> Self {
        Self {
            events,
            addresses: HashMap::new(),
            asked: 0,
            rejected: 0,
            echoed: 0,
            last_news: Instant::now(),
        }
    }

    /// What there is in a report that was not in the one before: its lists only grow.
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

    /// For how long there has been nothing new.
    pub(crate) fn silent_for(&self) -> Duration {
        self.last_news.elapsed()
    }

    /// Where a peer is.
    pub(crate) fn address(&self, peer_id: &Uuid) -> String {
        let known = self.addresses.get(peer_id).cloned();
        known.unwrap_or_else(|| peer_id.to_string())
    }

    /// Also those of peers that are gone by now.
    fn learn_addresses(&mut self) {
        for event in self.events.try_iter() {
            if let ControlEvent::HandshakeComplete {
                peer_id, address, ..
            } = event
            {
                self.addresses.insert(peer_id, address.to_string());
            }
        }
    }
}
