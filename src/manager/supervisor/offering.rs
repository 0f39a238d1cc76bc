//! Announces transactions to peers and sends them on request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ManagerSupervisor;
use crate::connection::{PeerConnectionHandle, random_u64};
use crate::error::Error;
use crate::manager::transactions::Offer;
use crate::peers::PeerId;
use crate::session::ConnectionState;
use crate::wire::{Inv, Inventory, Tx};

impl ManagerSupervisor {
    /// Starts the broadcast of a transaction. Its first announcement is due at once.
    pub(in crate::manager) fn offer(&mut self, transaction: Tx) -> Result<Arc<Offer>, Error> {
        let magic = self.shared.config().connection.magic();
        let transactions = &self.shared.transactions;
        transactions.add(magic, transaction, Instant::now())
    }

    /// Sends the announcements that are due and ends expired broadcasts.
    pub(super) fn announce_transactions(&self, now: Instant) {
        let transactions = &self.shared.transactions;
        if transactions.next_deadline().is_none_or(|due| due > now) {
            return;
        }
        transactions.expire(now);
        let connections = self.shared.connections.all().into_iter();
        let interested: Vec<_> = connections.filter(|one| is_interested(one)).collect();
        let ids: Vec<PeerId> = interested.iter().map(|one| one.peer_id()).collect();
        for offer in transactions.all() {
            let told = offer.wave(&ids, random_u64, now);
            for one in interested
                .iter()
                .filter(|one| told.contains(&one.peer_id()))
            {
                // Recorded before the send, so that it precedes any response.
                offer.on_told(one.peer_id());
                let sent = one.send_encoded(offer.announcement(), Duration::ZERO);
                if sent.is_err() {
                    offer.on_not_taken(one.peer_id(), now);
                }
            }
        }
    }

    /// Announces all transactions to a newly connected peer.
    pub(super) fn announce_transactions_to(&self, peer_id: PeerId, now: Instant) {
        let mut offers = self.shared.transactions.all();
        offers.retain(|offer| offer.is_news_to(peer_id));
        if offers.is_empty() {
            return;
        }
        let one = self.shared.connections.get(peer_id);
        let Some(one) = one.filter(|one| is_interested(one)) else {
            return;
        };
        offers.iter().for_each(|offer| offer.on_told(peer_id));
        let entry = |offer: &Arc<Offer>| Inventory::Tx(offer.txid());
        for offers in offers.chunks(one.max_inventory().max(1)) {
            let announcement = Inv::from(offers.iter().map(entry).collect::<Vec<_>>());
            if one.try_send(announcement).is_err() {
                offers
                    .iter()
                    .for_each(|offer| offer.on_not_taken(peer_id, now));
            }
        }
    }

    /// Sends requested transactions. If a send fails, the transaction is announced again later.
    pub(super) fn serve(&self, peer_id: PeerId, offers: &[Arc<Offer>], now: Instant) {
        let Some(one) = self.shared.connections.get(peer_id) else {
            return;
        };
        for offer in offers {
            match one.send_encoded(offer.transaction(), Duration::ZERO) {
                Ok(()) => offer.on_served(one.peer_ref()),
                Err(_) => offer.on_not_taken(peer_id, now),
            }
        }
    }
}

fn is_interested(one: &PeerConnectionHandle) -> bool {
    one.state() == ConnectionState::Connected && one.peer_info().is_some_and(|peer| peer.relay)
}
