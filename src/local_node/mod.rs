//! An in-process node for tests and examples.
//!
//! [`LocalNode`] is the node. Its parts can be used alone, without sockets, threads, clocks or
//! randomness:
//!
//! - A [`Chain`] is a tree of blocks that starts with a genesis block, and selects the best branch.
//! - A [`BlockTemplate`] is mined into a block that real nodes accept.
//! - A [`TransactionPool`] holds unconfirmed transactions.
//!
//! The caller passes the time, in seconds since 1970.
//!
//! ```
//! use bsv_p2p::local_node::{AcceptOutcome, BlockTemplate, Chain, TransactionPool};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = 1_700_000_000;
//! let mut chain = Chain::new();
//! let mut pool = TransactionPool::default();
//!
//! let block = BlockTemplate {
//!     transactions: pool.transactions().cloned().collect(),
//!     ..chain.template(now, 1)
//! }
//! .mine();
//! if let AcceptOutcome::NewTip { connected, .. } = chain.accept(&block, now)? {
//!     assert_eq!(connected, [block.hash()]);
//!     pool.remove_included(&block);
//! }
//! assert_eq!(chain.tip(), (1, block.hash()));
//! # Ok(())
//! # }
//! ```

mod block_rules;
mod chain;
mod listener;
mod locator;
mod mempool;
mod mining;
mod node;
mod node_config;
mod shared_state;
mod state;

pub use block_rules::BlockRejectReason;
pub use chain::{AcceptOutcome, Chain};
pub use locator::MAX_BLOCK_HASHES;
pub use mempool::{InsertOutcome, TransactionPool};
pub use mining::{BlockTemplate, regtest_subsidy};
pub use node::LocalNode;
pub use node_config::LocalNodeConfig;
