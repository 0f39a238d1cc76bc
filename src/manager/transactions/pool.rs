//! The registry of broadcast transactions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

use super::{MAX_BYTES, MAX_TRANSACTIONS, Offer};
use crate::error::Error;
use crate::network::Magic;
use crate::peers::PeerRef;
use crate::wire::{Inventory, Message, Reject, Tx, Txid};

/// The transactions that are broadcast, shared between threads. The lock is never held during a
/// wait.
#[derive(Default)]
pub(in crate::manager) struct BroadcastPool {
    offers: Mutex<HashMap<Txid, Arc<Offer>>>,
    /// The number of transactions, readable without the lock.
    live: AtomicUsize,
}

impl BroadcastPool {
    /// Starts the broadcast of a transaction, or restarts it.
    pub(in crate::manager) fn add(
        &self,
        magic: Magic,
        transaction: Tx,
        now: Instant,
    ) -> Result<Arc<Offer>, Error> {
        let txid = transaction.txid();
        let mut offers = self.offers.lock();
        if let Some(offer) = offers.get(&txid) {
            offer.renew(now);
            return Ok(offer.clone());
        }
        let bytes = transaction.bytes().len() as u64;
        let held: u64 = offers.values().map(|offer| offer.bytes()).sum();
        if offers.len() >= MAX_TRANSACTIONS || held + bytes > MAX_BYTES {
            return Err(Error::TooManyTransactions {
                txid,
                bytes,
                held,
                max_bytes: MAX_BYTES,
                transactions: offers.len(),
                max_transactions: MAX_TRANSACTIONS,
            });
        }
        let offer = Arc::new(Offer::new(magic, transaction, now));
        offers.insert(txid, offer.clone());
        self.live.store(offers.len(), Relaxed);
        Ok(offer)
    }

    /// Returns all broadcasts.
    pub(in crate::manager) fn all(&self) -> Vec<Arc<Offer>> {
        if self.live.load(Relaxed) == 0 {
            return Vec::new();
        }
        self.offers.lock().values().cloned().collect()
    }

    /// Returns when the next wave of any broadcast is due, or the next broadcast expires.
    pub(in crate::manager) fn next_deadline(&self) -> Option<Instant> {
        if self.live.load(Relaxed) == 0 {
            return None;
        }
        let offers = self.offers.lock();
        offers.values().map(|offer| offer.next_deadline()).min()
    }

    /// Ends the broadcasts that have expired.
    pub(in crate::manager) fn expire(&self, now: Instant) {
        self.remove_if(|offer| offer.has_expired(now));
    }

    pub(super) fn cancel(&self, txid: Txid) {
        self.remove_if(|offer| offer.txid() == txid);
    }

    /// Ends all broadcasts, because the manager was shut down.
    pub(in crate::manager) fn end(&self) {
        self.remove_if(|_| true);
    }

    fn remove_if(&self, goes: impl Fn(&Offer) -> bool) {
        let mut offers = self.offers.lock();
        offers.retain(|_, offer| {
            let goes = goes(offer);
            if goes {
                offer.end();
            }
            !goes
        });
        self.live.store(offers.len(), Relaxed);
    }

    /// Handles a message of a peer. Returns the transactions to send to it.
    ///
    /// Returns without locking if nothing is broadcast.
    pub(in crate::manager) fn on_message(
        &self,
        peer: PeerRef,
        message: &Message,
    ) -> Vec<Arc<Offer>> {
        if self.live.load(Relaxed) == 0 {
            return Vec::new();
        }
        match message {
            Message::GetData(asked) => {
                let offers = self.offers.lock();
                let asked = asked.inventory.iter().filter_map(|entry| match entry {
                    Inventory::Tx(txid) => offers.get(txid),
                    _ => None,
                });
                asked
                    .filter(|offer| offer.on_asked(peer.peer_id))
                    .cloned()
                    .collect()
            }
            Message::Inv(announced) => {
                let offers = self.offers.lock();
                for entry in &announced.inventory {
                    if let Inventory::Tx(txid) = entry
                        && let Some(offer) = offers.get(txid)
                    {
                        offer.on_announced(peer);
                    }
                }
                Vec::new()
            }
            Message::Reject(reject) => {
                self.on_reject(peer, reject);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn on_reject(&self, peer: PeerRef, reject: &Reject) {
        let Some(hash) = reject.hash.filter(|_| reject.message == "tx") else {
            return;
        };
        if let Some(offer) = self.offers.lock().get(&Txid(hash.0)) {
            offer.on_rejected(peer, reject);
        }
    }
}
