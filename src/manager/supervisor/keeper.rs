//! Observes connections and sends their events to the supervisor.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::heard::Hearing;
use super::inbound::AdmissionRequest;
use crate::connection::{
    ConnectionObserver, PeerConnectionHandle, PendingRestart, RestartPolicy, random_u64,
};
use crate::manager::connected::Connected;
use crate::manager::metrics::{Counters, count};
use crate::manager::plan::{Attachment, SocketEnd};
use crate::manager::shared::{CurrentConfig, Shared};
use crate::manager::transactions::{BroadcastPool, Offer};
use crate::peers::{PeerId, PeerRef};
use crate::session::{Direction, DisconnectReason, PeerInfo};
use crate::wire::{Addr, Message, TimestampedAddress};
use crossbeam_channel::Sender;
use parking_lot::Mutex;

/// An event of a connection.
pub(super) enum LifeNews {
    /// The handshake is complete.
    Connected {
        peer_id: PeerId,
        info: Box<PeerInfo>,
    },
    /// The peer advertised addresses.
    Heard {
        peer_id: PeerId,
        entries: Vec<TimestampedAddress>,
    },
    /// The peer requested transactions that are broadcast.
    AskedForTransactions {
        peer_id: PeerId,
        offers: Vec<Arc<Offer>>,
    },
    /// The peer requested addresses.
    AskedForAddresses { peer_id: PeerId },
    /// A restart is scheduled for `due`.
    Waiting {
        due: Instant,
        reason: DisconnectReason,
        next: PendingRestart,
    },
    /// An accepted socket is no second stream, and waits for admission.
    Classified(AdmissionRequest),
    /// An accepted socket has ended, or is a second stream. It has not become a connection.
    SocketOver { peer_id: PeerId, end: SocketEnd },
    /// A peer is being rejected because no slot is free.
    Rejecting(PeerConnectionHandle),
    /// The connection is closed permanently.
    Over {
        peer_id: PeerId,
        reason: DisconnectReason,
    },
}

/// Observes one connection: decides whether it is restarted, and notifies the supervisor.
///
/// The channel is unbounded, so that connections never wait for the supervisor. It holds at most
/// two state events per connection. The limits on advertised addresses and requests bound all other
/// events.
pub(super) struct LifeKeeper {
    peer_id: PeerId,
    address: SocketAddr,
    transactions: Arc<BroadcastPool>,
    attachment: Attachment,
    hearing: Mutex<Hearing>,
    plan: Mutex<RestartPolicy>,
    config: CurrentConfig,
    connected: Arc<Connected>,
    counters: Arc<Counters>,
    news: Sender<LifeNews>,
}

impl LifeKeeper {
    pub(super) fn new(
        (peer_id, address): (PeerId, SocketAddr),
        (direction, attachment): (Direction, Attachment),
        shared: &Shared,
        news: Sender<LifeNews>,
    ) -> Self {
        let restarts = attachment.restarts(&shared.config());
        Self {
            peer_id,
            address,
            transactions: shared.transactions.clone(),
            attachment,
            hearing: Mutex::new(Hearing::new(direction, Instant::now())),
            plan: Mutex::new(RestartPolicy::new(direction, restarts)),
            config: shared.config.clone(),
            connected: shared.connected.clone(),
            counters: shared.counters.clone(),
            news,
        }
    }
}

impl LifeKeeper {
    fn on_getaddr(&self) {
        if self.hearing.lock().on_question() {
            let peer_id = self.peer_id;
            let _ = self.news.send(LifeNews::AskedForAddresses { peer_id });
        }
    }

    fn on_addr(&self, addr: &Addr) {
        let config = self.config.read().clone();
        let address = self.address.ip().to_canonical();
        let mut hearing = self.hearing.lock();
        let entries = hearing.on_addresses(&addr.addresses, address, &config, Instant::now());
        if !entries.is_empty() {
            let _ = self.news.send(LifeNews::Heard {
                peer_id: self.peer_id,
                entries: entries.to_vec(),
            });
        }
    }
}

// Sending fails once the supervisor has stopped. A restart is dropped then, which closes its
// connection.
impl ConnectionObserver for LifeKeeper {
    fn on_connected(&self, info: &PeerInfo) {
        count(&self.counters.handshakes);
        let asked = self.config.read().asks_peers();
        self.hearing.lock().begin(asked, Instant::now());
        let _ = self.news.send(LifeNews::Connected {
            peer_id: self.peer_id,
            info: Box::new(info.clone()),
        });
        // Counted after the event is queued, so that a released waiter finds it handled.
        self.connected.add();
    }

    fn on_message(&self, message: &Message) {
        match message {
            Message::GetAddr => self.on_getaddr(),
            Message::Addr(addr) => self.on_addr(addr),
            Message::GetData(_) | Message::Inv(_) | Message::Reject(_) => {
                let peer = PeerRef::new(self.peer_id, self.address);
                let offers = self.transactions.on_message(peer, message);
                if !offers.is_empty() {
                    let _ = self.news.send(LifeNews::AskedForTransactions {
                        peer_id: self.peer_id,
                        offers,
                    });
                }
            }
            _ => {}
        }
    }

    fn restart_delay(
        &self,
        reason: &DisconnectReason,
        connected_at: Option<Instant>,
    ) -> Option<Duration> {
        if connected_at.is_some() {
            count(&self.counters.connections_lost);
            self.connected.remove();
        } else {
            count(&self.counters.connections_failed);
        }
        let now = Instant::now();
        let mut plan = self.plan.lock();
        plan.set_config(self.attachment.restarts(&self.config.read()));
        plan.on_end(reason, connected_at, now, random_u64()).pause()
    }

    fn on_restart_scheduled(&self, due: Instant, reason: DisconnectReason, next: PendingRestart) {
        let _ = self.news.send(LifeNews::Waiting { due, reason, next });
    }

    fn on_closed(&self, reason: DisconnectReason) {
        let _ = self.news.send(LifeNews::Over {
            peer_id: self.peer_id,
            reason,
        });
    }
}
