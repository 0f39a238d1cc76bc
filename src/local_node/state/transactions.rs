//! Transactions: those of peers and of the application, their orphans, and their announcement.

use std::collections::HashSet;

use log::Level;

use super::NodeState;
use super::rejects::ObjectRejection;
use crate::local_node::InsertOutcome;
use crate::peers::PeerId;
use crate::wire::{InvalidTransaction, Inventory, Tx, Txid};

impl NodeState {
    /// Adds a transaction of the application to the pool and announces it. Unknown parents do not
    /// matter.
    pub(in crate::local_node) fn submit(
        &mut self,
        tx: &Tx,
    ) -> Result<InsertOutcome, InvalidTransaction> {
        let txid = tx.txid();
        let inserted = self.add_transaction(txid, tx, None)?;
        if inserted == InsertOutcome::New {
            self.accept_orphans_of(vec![txid]);
        }
        Ok(inserted)
    }

    /// Handles a transaction of a peer.
    pub(super) fn on_transaction(&mut self, from: PeerId, tx: &Tx) {
        let txid = tx.txid();
        if self.knows_transaction(&txid) {
            return;
        }
        if let Err(invalid) = tx.view().check() {
            self.reject(
                from,
                "tx",
                txid.0,
                &ObjectRejection::of_transaction(&invalid),
            );
            return;
        }
        let parents = self.unknown_parents(tx);
        if parents.is_empty() {
            self.accept_from(from, txid, tx);
            self.accept_orphans_of(vec![txid]);
        } else {
            self.keep_orphan(from, txid, tx, parents);
        }
    }

    /// Accepts the orphans that wait for transactions which are known now, and the orphans that
    /// wait for those.
    pub(super) fn accept_orphans_of(&mut self, mut known: Vec<Txid>) {
        while let Some(parent) = known.pop() {
            for (from, tx) in self.orphans.take_children(&parent) {
                let txid = tx.txid();
                let parents = self.unknown_parents(&tx);
                if parents.is_empty() {
                    self.accept_from(from, txid, &tx);
                    known.push(txid);
                } else {
                    self.orphans.insert(txid, &tx, parents, from);
                }
            }
        }
    }

    /// Returns whether a transaction is in the pool, in the active chain or an orphan.
    pub(super) fn knows_transaction(&self, txid: &Txid) -> bool {
        self.has_transaction(txid) || self.orphans.contains(txid)
    }

    /// Returns whether a transaction is in the pool or in the active chain.
    fn has_transaction(&self, txid: &Txid) -> bool {
        self.pool.contains(txid) || self.mined.contains(txid)
    }

    /// Returns the transactions that a transaction spends and that are unknown, each once. Empty
    /// unless orphans are kept.
    fn unknown_parents(&self, tx: &Tx) -> Vec<Txid> {
        if !self.config.keep_orphans {
            return Vec::new();
        }
        let mut seen = HashSet::new();
        let parents = tx.view().inputs().map(|input| input.previous.txid);
        parents
            .filter(|parent| !self.has_transaction(parent) && seen.insert(*parent))
            .collect()
    }

    /// Keeps an orphan and requests its parents from the peer that sent it. Teranode does not
    /// request them.
    fn keep_orphan(&mut self, from: PeerId, txid: Txid, tx: &Tx, parents: Vec<Txid>) {
        let unknown = parents.iter().filter(|txid| !self.orphans.contains(txid));
        let wanted: Vec<_> = unknown.copied().map(Inventory::Tx).collect();
        if !self.orphans.insert(txid, tx, parents, from) {
            let record = self.log_peer(from, Level::Warn);
            record.write(format_args!(
                "orphan transaction {txid} not kept: too large"
            ));
        }
        if let Some(peer) = self.peers.get(&from)
            && !self.is_teranode()
        {
            peer.send_getdata(&wanted);
        }
    }

    /// Adds a valid transaction of a peer to the pool.
    fn accept_from(&mut self, from: PeerId, txid: Txid, tx: &Tx) {
        match self.add_transaction(txid, tx, Some(from)) {
            Ok(InsertOutcome::New | InsertOutcome::Known) => {}
            Ok(InsertOutcome::Full) => {
                let record = self.log_peer(from, Level::Warn);
                record.write(format_args!("transaction {txid} not kept: pool is full"));
            }
            Err(invalid) => {
                let record = self.log_peer(from, Level::Warn).error(&invalid);
                record.write(format_args!("transaction {txid} rejected"));
            }
        }
    }

    /// Adds a transaction to the pool, and announces it to the peers whose filter matches.
    fn add_transaction(
        &mut self,
        txid: Txid,
        tx: &Tx,
        from: Option<PeerId>,
    ) -> Result<InsertOutcome, InvalidTransaction> {
        if self.mined.contains(&txid) {
            return Ok(InsertOutcome::Known);
        }
        let inserted = self.pool.insert(tx)?;
        if inserted == InsertOutcome::New {
            for (id, peer) in &mut self.peers {
                if peer.is_ready()
                    && peer.relays_transactions
                    && Some(*id) != from
                    && peer.filter.match_and_update(tx.view())
                {
                    peer.send_inv(&[Inventory::Tx(txid)]);
                }
            }
        }
        Ok(inserted)
    }
}
