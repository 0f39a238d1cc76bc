//! What a program holds of a transaction that it has handed over.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Offer, Transactions};
use crate::deadline::deadline_after;
use crate::error::Error;
use crate::manager::Manager;
use crate::wire::{RejectCode, Tx, Txid, WireString};

/// A transaction on its way into the network. Cheap to clone, and safe to use from several threads; dropping it changes nothing.
#[derive(Clone)]
pub struct TransactionBroadcast {
    offer: Arc<Offer>,
    transactions: Arc<Transactions>,
}

/// What peers have made of a transaction so far. Of each list at most 1,000 peers are kept, the first ones.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BroadcastReport {
    /// Its name.
    pub txid: Txid,
    /// How many peers have been told of it.
    pub told: usize,
    /// Who has asked for it, and was sent it. A node asks for what it does not have; whether it then takes it, it does not say.
    pub asked_by: Vec<Uuid>,
    /// Who has announced it without having been told by us: it has it from somebody else, so the network passes it on.
    pub echoed_by: Vec<Uuid>,
    /// Who has rejected it.
    pub rejected_by: Vec<Rejection>,
    /// Whether it is offered no more: its half hour is over, it was withdrawn, or the manager has ended.
    pub is_over: bool,
}

/// What a peer has against a transaction.
///
/// Silence is no consent: a node (seen at version 1.0.13) says why it refuses what breaks a rule, but nothing of a transaction that conflicts
/// with one in its pool, or whose inputs it does not know.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Rejection {
    /// The peer.
    pub peer_id: Uuid,
    /// Where it is.
    pub address: SocketAddr,
    /// The class of the reason.
    pub code: RejectCode,
    /// The reason in the peer's words.
    pub reason: WireString,
}

impl TransactionBroadcast {
    /// The transaction's name.
    pub fn txid(&self) -> Txid {
        self.offer.txid()
    }

    /// What peers have made of it so far. Does not block.
    pub fn report(&self) -> BroadcastReport {
        self.offer.report()
    }

    /// Waits until so many peers have asked for it or echoed it, and returns what is known then. Blocks at most for `timeout`, and not beyond
    /// the end of the offer or of the manager: fewer may be in the report.
    pub fn wait_for(&self, peers: usize, timeout: Duration) -> BroadcastReport {
        self.offer.wait_for(peers, deadline_after(timeout))
    }

    /// Has it announced and served no more. Peers that have it keep it.
    pub fn withdraw(&self) {
        self.transactions.withdraw(self.txid());
    }
}

impl fmt::Debug for TransactionBroadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransactionBroadcast")
            .field(&self.report())
            .finish()
    }
}

impl Manager {
    /// Hands a transaction to the network: announces it, and serves it for 30 minutes to all who ask.
    ///
    /// Half of the connected peers are told at once, chosen by chance, so that the others can show that the network passes it on. Who has shown
    /// nothing of it 5 s later is told as well, and so is everybody who is connected later: peers that do not hear of each other all
    /// get it. Peers that do not want transactions announced are not told. One peer gets it three times at most. Giving the same
    /// transaction again begins the half hour anew. Whether it is valid is for the peers to say, and one that is badly signed costs connections: a
    /// node bans for it, or disconnects. What is offered is a copy.
    ///
    /// Does not wait for any peer; there need not be one.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyTransactions`] if 1,000 transactions, or 64 MiB of them, are offered already; [`Error::NotRunning`].
    pub fn broadcast_transaction(
        &self,
        transaction: impl Into<Tx>,
    ) -> Result<TransactionBroadcast, Error> {
        let transaction = transaction.into();
        let transactions = self.shared.transactions.clone();
        let offer = self.ask(move |supervisor| supervisor.offer(transaction))??;
        Ok(TransactionBroadcast {
            offer,
            transactions,
        })
    }
}
