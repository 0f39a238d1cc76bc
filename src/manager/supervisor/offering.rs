//! Telling peers of transactions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Supervisor;
use crate::connection::{PeerConnectionHandle, PreparedMessage, random_number};
use crate::error::Error;
use crate::manager::transactions::Offer;
use crate::session::ConnectionState;
use crate::wire::Tx;

impl Supervisor {
    /// Takes a transaction on. Peers are told next.
    pub(in crate::manager) fn offer(&mut self, transaction: Tx) -> Result<Arc<Offer>, Error> {
        let magic = self.shared.config().connection.magic();
        let transactions = &self.shared.transactions;
        transactions.add(magic, transaction, Instant::now())
    }

    /// Tells peers of transactions of which they are to be told now, and ends what has been offered for long enough.
    pub(super) fn announce_transactions(&self, now: Instant) {
        let transactions = &self.shared.transactions;
        if transactions.next_deadline().is_none_or(|due| due > now) {
            return;
        }
        transactions.expire(now);
        let interested: Vec<_> = self.shared.connections.all();
        let interested = interested.into_iter().filter(|one| is_interested(one));
        let interested: Vec<_> = interested.collect();
        let ids: Vec<Uuid> = interested.iter().map(|one| one.peer_id()).collect();
        for offer in transactions.all() {
            let told = offer.wave(&ids, random_number, now);
            for one in interested
                .iter()
                .filter(|one| told.contains(&one.peer_id()))
            {
                tell(one, &offer);
            }
        }
    }

    /// Tells a peer that has just been connected of all transactions that are offered.
    pub(super) fn announce_transactions_to(&self, peer_id: Uuid) {
        for offer in self.shared.transactions.all() {
            if let Some(one) = self.shared.connections.get(peer_id)
                && is_interested(&one)
                && offer.is_news_to(peer_id)
            {
                tell(&one, &offer);
            }
        }
    }

    /// Sends what a peer has asked for. One that takes nothing now may ask again.
    pub(super) fn serve(&self, peer_id: Uuid, transactions: &[PreparedMessage]) {
        if let Some(one) = self.shared.connections.get(peer_id) {
            for transaction in transactions {
                let _ = one.send_prepared(transaction, Duration::ZERO);
            }
        }
    }
}

fn is_interested(one: &PeerConnectionHandle) -> bool {
    one.state() == ConnectionState::Connected && one.peer().is_some_and(|peer| peer.relay)
}

/// Tells a peer; who takes nothing now is told later.
fn tell(one: &PeerConnectionHandle, offer: &Offer) {
    // Before it can answer.
    offer.on_told(one.peer_id());
    if one
        .send_prepared(offer.announcement(), Duration::ZERO)
        .is_err()
    {
        offer.on_not_told(one.peer_id());
    }
}
