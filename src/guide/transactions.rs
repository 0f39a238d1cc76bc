//! Receiving and broadcasting transactions.
//!
//! # Broadcasting
//!
//! [`broadcast_transaction`](crate::Manager::broadcast_transaction) announces a transaction and
//! serves it for 30 minutes.
//!
//! 1. It announces the transaction to half of the connected peers at once, at least to one. They
//!    are chosen at random.
//! 2. After five seconds it announces the transaction to the other peers that have not announced it
//!    themselves.
//! 3. It announces the transaction to every peer that connects later.
//!
//! Peers that did not request announcements of transactions (`relay` in their `version`) are
//! skipped. Each peer is sent a transaction at most three times. At most 1,000 transactions and 64
//! MiB are offered at the same time.
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::wire::{OutPoint, Transaction, TransactionInput, TransactionOutput, Txid};
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     node.mine(1)?;
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     manager.start_fixed([node.address()])?;
//!     manager.wait_for_peers(1, Duration::from_secs(10))?;
//!     // A local node verifies no signatures and, by default, no inputs.
//!     let transaction = Transaction {
//!         version: 1,
//!         inputs: vec![TransactionInput {
//!             previous: OutPoint { txid: Txid([1; 32]), index: 0 },
//!             script: Vec::new(),
//!             sequence: u32::MAX,
//!         }],
//!         outputs: vec![TransactionOutput { value: 1_000, script: vec![0x51] }],
//!         lock_time: 0,
//!     };
//!     let broadcast = manager.broadcast_transaction(&transaction)?;
//!     let report = broadcast.wait_for(1, Duration::from_secs(10));
//!     assert_eq!(report.requested_by.len(), 1);
//!     Ok(())
//! }
//! ```
//!
//! # Results
//!
//! [`TransactionBroadcast`](crate::manager::TransactionBroadcast) reports the responses of peers as
//! a [`BroadcastReport`](crate::manager::BroadcastReport):
//!
//! | field | meaning |
//! | --- | --- |
//! | `announced_to` | The number of peers to which it was announced. |
//! | `requested_by` | The peers that requested it, and received it. |
//! | `rejected_by` | The peers that rejected it, with code and reason. |
//! | `relayed_by` | The peers that announced it without an announcement of this manager. They received it from other peers. |
//! | `is_finished` | Whether the offer has ended. |
//!
//! [`wait_for`](crate::manager::TransactionBroadcast::wait_for) blocks until a number of peers
//! requested or announced it.
//!
//! A node requests a transaction that it does not have. It does not report whether it accepts the
//! transaction:
//!
//! - A transaction that breaks a rule is rejected with a reason (observed at version 1.0.13).
//! - A conflict with a transaction in its pool, or unknown inputs, are not reported.
//! - For an invalid signature, the node closes the connection or bans this host.
//!
//! A missing `reject` therefore does not mean that the transaction was accepted. Validate a
//! transaction before it is broadcast.
//!
//! [`cancel`](crate::manager::TransactionBroadcast::cancel) ends the offer. Peers that have the
//! transaction keep it.
//!
//! # Receiving
//!
//! Nodes announce transactions by `inv`. A subscriber requests them with
//! [`transactions`](crate::Manager::transactions), or sends `getdata` and receives `tx` messages.
//! [`recipes`](super::recipes#receive-transactions) shows both steps.
//!
//! Several peers may announce one transaction, so a caller should remember the ids that it has
//! requested. If a transaction was not requested and is longer than 1 MiB (`limits.unrequested`),
//! it is discarded.
//!
//! [`Tx`](crate::wire::Tx) keeps the bytes in which a transaction arrived and gives views of its
//! parts. [`Transaction`](crate::wire::Transaction) owns its parts.
