//! Receiving and broadcasting transactions.
//!
//! # Broadcasting
//!
//! [`broadcast_transaction`](crate::Manager::broadcast_transaction) announces a transaction and
//! serves it for 30 minutes.
//!
//! 1. The transaction is announced to a random half of the connected peers, at least to one.
//! 2. After five seconds, it is announced to the other peers, except those with their own
//!    announcement of it.
//! 3. It is announced to every peer that connects later.
//!
//! Peers that do not request transactions (`relay` is false in their `version`) are skipped. A
//! transaction is sent to a peer at most three times. At most 1,000 transactions, with 64 MiB in
//! total, are offered at once.
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::wire::{OutPoint, Transaction, Txid};
//! use bsv_p2p::wire::{TransactionInput, TransactionOutput};
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     node.mine(1)?;
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     manager.start_fixed([node.address()])?;
//!     manager.wait_for_peers(1, Duration::from_secs(10))?;
//!     // A local node verifies neither scripts nor inputs.
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
//! | `announced_to` | The number of peers that received the announcement. |
//! | `requested_by` | The peers that requested the transaction and received it. |
//! | `rejected_by` | The peers that rejected it, with code and reason. |
//! | `relayed_by` | The peers that received it from other peers and announced it. |
//! | `is_finished` | Whether the offer has ended. |
//!
//! [`wait_for`](crate::manager::TransactionBroadcast::wait_for) blocks until a number of peers
//! requested or announced it.
//!
//! A node requests every transaction that it does not have. The protocol does not report
//! acceptance:
//!
//! - If the transaction breaks a rule, the node rejects it with a reason (observed at version
//!   1.0.13).
//! - If it conflicts with the pool of the node, or if its inputs are unknown, the node sends no
//!   `reject`.
//! - If a signature is invalid, the node closes the connection or bans this host.
//!
//! A missing `reject` therefore does not mean that the transaction was accepted. A caller must
//! validate a transaction before broadcasting it.
//!
//! [`cancel`](crate::manager::TransactionBroadcast::cancel) ends the offer. Peers that have
//! received the transaction keep it.
//!
//! # Receiving
//!
//! Nodes announce transactions by `inv`. [`transactions`](crate::Manager::transactions) requests
//! them and returns them. [`recipes`](super::recipes#receive-transactions) shows a loop.
//! Alternatively, a caller may send `getdata` and receive `tx` messages from a subscription.
//!
//! Several peers may announce one transaction, so a caller should store the ids that it requested.
//! If a transaction was not requested and is longer than 1 MiB (`limits.unrequested`), it is
//! discarded.
//!
//! [`Tx`](crate::wire::Tx) keeps the encoded transaction and returns views of its parts.
//! [`Transaction`](crate::wire::Transaction) owns its parts.
