//! The handle of a broadcast transaction, and its reports.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{BroadcastPool, Offer};
use crate::deadline::deadline_after;
use crate::error::Error;
use crate::manager::Manager;
use crate::peers::PeerRef;
use crate::wire::{RejectCode, Tx, Txid, WireString};

/// A handle to a transaction that a manager broadcasts.
///
/// Returned by [`Manager::broadcast_transaction`]. Clones are cheap and refer to the same
/// broadcast. All methods can be called from several threads at once. Dropping the handle does not
/// stop the broadcast, so a caller may ignore it.
///
/// ```
/// use std::time::Duration;
///
/// use bsv_p2p::local_node::LocalNode;
/// use bsv_p2p::wire::{OutPoint, Transaction, TransactionInput, TransactionOutput, Txid};
/// use bsv_p2p::{Manager, ManagerConfig, Network};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = LocalNode::start()?;
/// let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
/// manager.start_fixed([node.address()])?;
/// manager.wait_for_peers(1, Duration::from_secs(10))?;
///
/// // A real transaction spends an output of the chain and is signed.
/// let transaction = Transaction {
///     version: 1,
///     inputs: vec![TransactionInput {
///         previous: OutPoint { txid: Txid([1; 32]), index: 0 },
///         script: vec![0x51],
///         sequence: u32::MAX,
///     }],
///     outputs: vec![TransactionOutput { value: 1_000, script: vec![0x51] }],
///     lock_time: 0,
/// };
/// let broadcast = manager.broadcast_transaction(&transaction)?;
/// let report = broadcast.wait_for(1, Duration::from_secs(10));
/// assert_eq!(report.requested_by.len(), 1);
/// assert!(report.rejected_by.is_empty());
/// assert!(node.wait_for_transaction(broadcast.txid(), Duration::from_secs(10)));
/// broadcast.cancel();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TransactionBroadcast {
    offer: Arc<Offer>,
    transactions: Arc<BroadcastPool>,
}

/// The state of a broadcast: which peers requested, relayed or rejected the transaction.
///
/// Returned by [`TransactionBroadcast::report`] and [`TransactionBroadcast::wait_for`]. Each list
/// contains at most 1,000 peers, the first ones.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BroadcastReport {
    /// The id of the transaction.
    pub txid: Txid,
    /// The number of peers to which the transaction was announced.
    pub announced_to: usize,
    /// The peers that requested the transaction and to which it was sent.
    ///
    /// A node requests transactions that it does not have. It does not report whether it accepted
    /// the transaction.
    pub requested_by: Vec<PeerRef>,
    /// The peers that announced the transaction before it was announced to them.
    ///
    /// They received it from another node, so the network relays it.
    pub relayed_by: Vec<PeerRef>,
    /// The peers that rejected the transaction, with their reasons.
    pub rejected_by: Vec<Rejection>,
    /// Whether the broadcast has ended: 30 minutes have elapsed, [`TransactionBroadcast::cancel`]
    /// was called, or the manager was shut down.
    pub is_finished: bool,
}

/// The rejection of a transaction by a peer (`reject`).
///
/// A missing rejection does not mean that the transaction was accepted. A node (observed with
/// version 1.0.13) sends a `reject` if a transaction violates a rule. It sends nothing if the
/// transaction conflicts with one in its pool or spends unknown outputs.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Rejection {
    /// The peer that rejected the transaction.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub peer: PeerRef,
    /// The reject code.
    pub code: RejectCode,
    /// The reason, as sent by the peer.
    pub reason: WireString,
}

impl fmt::Display for BroadcastReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "announced to {}, requested by {}, relayed by {}, rejected by {}",
            self.announced_to,
            self.requested_by.len(),
            self.relayed_by.len(),
            self.rejected_by.len()
        )
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, code, reason } = self;
        write!(f, "{peer}: transaction rejected ({code}): {reason}")
    }
}

impl TransactionBroadcast {
    /// Returns the id of the transaction.
    pub fn txid(&self) -> Txid {
        self.offer.txid()
    }

    /// Returns the current state of the broadcast. Does not block.
    pub fn report(&self) -> BroadcastReport {
        self.offer.report()
    }

    /// Blocks until at least `peers` peers have requested or relayed the transaction.
    ///
    /// Returns the state of the broadcast, also if `timeout` expires or the broadcast ends before.
    /// Blocks for at most `timeout`.
    pub fn wait_for(&self, peers: usize, timeout: Duration) -> BroadcastReport {
        self.offer.wait_for(peers, deadline_after(timeout))
    }

    /// Stops announcing and serving the transaction. Does not block.
    ///
    /// Applies to every broadcast of this transaction by the manager. Peers that received the
    /// transaction keep it.
    pub fn cancel(&self) {
        self.transactions.cancel(self.txid());
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
    /// Announces a transaction and sends it to the peers that request it, for 30 minutes.
    ///
    /// The transaction is announced to a random half of the connected peers at once. If the other
    /// peers announce it, the network relays it. After 5 s it is announced to all peers that
    /// neither requested nor announced it. Peers that connect later receive the announcement after
    /// their handshake. Peers that disabled relay in their `version` receive none.
    ///
    /// The transaction is sent to at most 1,000 peers, at most three times to each. A further call
    /// with the same transaction restarts the 30 minutes and the announcements.
    ///
    /// Scripts, signatures and inputs are not verified. Nodes disconnect or ban the sender of a
    /// transaction with invalid scripts, so it must be valid. The manager keeps a copy of it.
    ///
    /// Does not wait for any peer, and succeeds without peers.
    /// [`TransactionBroadcast::wait_for`] waits for peers.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidTransaction`] if every node rejects the transaction, as found by
    ///   [`TransactionView::check`](crate::wire::TransactionView::check).
    /// - [`Error::NotRunning`] if the manager is not running.
    /// - [`Error::TooManyTransactions`] if 1,000 transactions are broadcast already, or if all
    ///   transactions together would exceed 64 MiB.
    pub fn broadcast_transaction(
        &self,
        transaction: impl Into<Tx>,
    ) -> Result<TransactionBroadcast, Error> {
        let transaction = transaction.into();
        let checked = transaction.view().check();
        checked.map_err(|error| Error::InvalidTransaction {
            txid: transaction.txid(),
            error,
        })?;
        let transactions = self.shared.transactions.clone();
        let offer = self.ask(move |supervisor| supervisor.offer(transaction))??;
        Ok(TransactionBroadcast {
            offer,
            transactions,
        })
    }
}
