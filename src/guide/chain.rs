//! Following the chain: headers, tips, blocks.
//!
//! [`subscribe_blocks`](crate::Manager::subscribe_blocks) reports each new tip once. A
//! [`TipUpdate`](crate::manager::TipUpdate) contains the peer that announced it first, and the
//! blocks that joined and left the chain.
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let nodes = [LocalNode::start()?, LocalNode::start()?];
//!     nodes[0].connect(nodes[1].address())?;
//!     nodes[0].mine(3)?;
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     // Starts at the genesis block. `follow_chain` can set another start.
//!     let tips = manager.subscribe_blocks()?;
//!     manager.start_fixed(nodes.each_ref().map(LocalNode::address))?;
//!     let (height, hash) = manager.sync_headers(Duration::from_secs(30))?;
//!     println!("synchronized: {hash} at height {height}");
//!     nodes[0].mine(1)?;
//!     for tip in tips {
//!         let tip = tip?;
//!         // During the initial download, an update may contain 2,000 blocks.
//!         println!("{tip}");
//!         if tip.height == 4 {
//!             let block = manager.fetch_block(tip.hash, Duration::from_secs(30))?;
//!             println!("{} transactions", block.transaction_count());
//!             break;
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Methods
//!
//! | method | purpose |
//! | --- | --- |
//! | [`subscribe_blocks`](crate::Manager::subscribe_blocks) | Reports changes of the tip. Follows the chain from genesis by default. |
//! | [`sync_headers`](crate::Manager::sync_headers) | Blocks until the chain contains the headers of the connected sources. |
//! | [`with_chain`](crate::Manager::with_chain) | Passes the followed [`HeaderChain`](crate::wire::HeaderChain) to a closure, and returns its result. |
//! | [`follow_chain`](crate::Manager::follow_chain) | Replaces the chain. The new one may start at a built-in checkpoint. The manager may be running. |
//! | [`with_headers`](crate::Manager::with_headers) | Stores the chain in a file of 80-byte headers, and resumes from it. |
//! | [`fetch_block`](crate::Manager::fetch_block) | Requests a block from one peer after another until a peer delivers it. |
//! | [`fetch_block_reader`](crate::Manager::fetch_block_reader) | Like `fetch_block`, but streams a block of any size. |
//!
//! # Sources
//!
//! Sources of headers are configured peers (fixed, manual, on the whitelist), and peers that the
//! manager dialed. Inbound peers are sources only if no such peer is connected.
//!
//! Each header is verified by the rules of its network. If a header is invalid, the peer is scored
//! as by a node, and its address is avoided as a source for 60 s. If a source does not respond
//! within 2 s, another source is requested as well.
//!
//! [`sync_headers`](crate::Manager::sync_headers) returns when all of the following hold:
//!
//! - More than half of the usable sources have no further headers.
//! - No usable source has an unverified branch.
//! - The chain has the minimum work of its network.
//!
//! The height that a peer claims in its `version` is not used.
//!
//! # Rules
//!
//! Each header is verified by the rules of SV Node 1.2.2:
//!
//! - linkage to a known header, proof of work, and the required difficulty,
//! - a time after the median of the last 11 headers, and at most two hours ahead of the clock,
//! - block version and checkpoints.
//!
//! The required difficulty includes the retarget every 2,016 blocks, the emergency adjustment, the
//! 144-block adjustment, and the exception for the minimum difficulty.
//!
//! The branch with the most work becomes active. A reorganization may have any depth above the last
//! checkpoint. The number of headers on side chains is limited. If the limit is reached, the branch
//! with the least work is evicted.
//!
//! Transactions, scripts and signatures are **not** verified. A block with valid headers above it
//! can be invalid, or unavailable. A caller should therefore wait for confirmations. The table at
//! [`HeaderChain`](crate::wire::HeaderChain#verification) shows how many.
//!
//! # Events
//!
//! | event | meaning |
//! | --- | --- |
//! | [`ChainSplit`](crate::event::ControlEvent::ChainSplit) | Peers follow a competing branch. |
//! | [`TipStale`](crate::event::ControlEvent::TipStale) | The tip did not change for an hour. |
//! | [`HeaderStoreFailed`](crate::event::ControlEvent::HeaderStoreFailed) | The header file could not be written, or its end was damaged. |
//!
//! # Blocks of any size
//!
//! [`block_reader`](crate::connection::PeerConnectionHandle::block_reader) returns a
//! [`BlockReader`](crate::connection::BlockReader), which implements `Read` and `BufRead`. The
//! block is read while it arrives. At most 2 MiB are queued for the caller. If the queue is full,
//! reading from the peer pauses.
//!
//! The data must not be used before the last read succeeded. If the checksum, the structure or the
//! merkle root is invalid, the last read fails.
//!
//! [`visit`](crate::connection::BlockReader::visit) passes the header, the transactions and their
//! ids to a [`BlockVisitor`](crate::connection::BlockVisitor), in constant memory. Transactions
//! above a limit are passed in pieces.
//!
//! The protocol cannot cancel a transfer. If the reader is dropped before the end, the connection
//! is closed with [`BlockReaderAbandoned`](crate::session::DisconnectReason::BlockReaderAbandoned).
//! This also happens if the caller takes no data for 15 s (`block_reader_timeout`) while the queue
//! is full.
//!
//! # Without a manager
//!
//! [`Connection::headers`](crate::Connection::headers) requests headers from one node.
//! [`HeaderChain::extend`](crate::wire::HeaderChain::extend) verifies and adds them.
//! [`HeaderStore`](crate::HeaderStore) stores the chain.
//! [`recipes`](super::recipes#synchronize-headers) shows the complete loop.
