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
//!     let tips = manager.subscribe_blocks()?; // from genesis, unless `follow_chain` sets another start
//!     manager.start_fixed(nodes.each_ref().map(LocalNode::address))?;
//!     let (height, hash) = manager.sync_headers(Duration::from_secs(30))?;
//!     println!("synchronized: {hash} at height {height}");
//!     nodes[0].mine(1)?;
//!     for tip in tips {
//!         let tip = tip?;
//!         println!("{tip}"); // includes the initial download, up to 2,000 blocks each
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
//! | [`with_chain`](crate::Manager::with_chain) | Gives access to the followed [`HeaderChain`](crate::wire::HeaderChain). |
//! | [`follow_chain`](crate::Manager::follow_chain) | Replaces the chain, also while the manager runs: by another chain, or by one that starts at a built-in checkpoint. |
//! | [`with_headers`](crate::Manager::with_headers) | Stores the chain in a file of 80-byte headers, and resumes from it. |
//! | [`fetch_block`](crate::Manager::fetch_block) | Requests a block from one peer after the other until one delivers it. |
//! | [`fetch_block_reader`](crate::Manager::fetch_block_reader) | The equivalent for blocks of any size. |
//!
//! # Sources
//!
//! Sources of headers are configured peers (fixed, manual, on the whitelist), and peers that the
//! manager dialed. Inbound peers are sources only while no such peer is connected.
//!
//! Each header is verified by the rules of its network, and scored as by a node. A source that does
//! not answer is replaced after 2 s. Bad behavior is remembered by address.
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
//! These rules are verified for each header: linkage, proof of work, required difficulty, median
//! time, a time at most two hours ahead, block version and checkpoints. They are those of SV Node
//! 1.2.2. The required difficulty includes the retarget every 2,016 blocks, the emergency
//! adjustment, the 144-block adjustment, and the exception for the minimum difficulty.
//!
//! The branch with the most work wins at any depth above the last checkpoint. Side chains are
//! limited in number: when there is no space, the branch with the least work is evicted.
//!
//! Transactions, scripts and signatures are **not** verified. A block with valid headers above it
//! can be invalid, or unavailable. Wait for confirmations. The table at
//! [`HeaderChain`](crate::wire::HeaderChain#verification) shows the effect of their number.
//!
//! # Events
//!
//! | event | meaning |
//! | --- | --- |
//! | [`ChainSplit`](crate::event::ControlEvent::ChainSplit) | Peers follow a competing branch. |
//! | [`TipStale`](crate::event::ControlEvent::TipStale) | The tip did not change for an hour. |
//! | [`HeaderStoreFailed`](crate::event::ControlEvent::HeaderStoreFailed) | Writing the header file failed, or it had a damaged end. |
//!
//! # Blocks of any size
//!
//! [`block_reader`](crate::connection::PeerConnectionHandle::block_reader) delivers a block as a
//! `std::io::Read` while it arrives. At most 2 MiB are queued for the caller, and the peer is read
//! only as fast as the caller reads.
//!
//! The data is the requested block only if the last read succeeds. The last read fails if the
//! checksum, the structure or the merkle root is invalid.
//!
//! [`visit`](crate::connection::BlockReader::visit) passes the header, the transactions and their
//! ids to a [`BlockVisitor`](crate::connection::BlockVisitor), in constant memory. Transactions
//! above a limit are passed in pieces.
//!
//! The connection is closed with
//! [`BlockReaderAbandoned`](crate::session::DisconnectReason::BlockReaderAbandoned) if the reader
//! is dropped before the end. This also happens if the caller takes nothing for 30 s
//! (`block_reader_timeout`) while the queue is full. The protocol cannot cancel a transfer.
//!
//! # Without a manager
//!
//! [`Connection::headers`](crate::Connection::headers) requests headers from one node.
//! [`HeaderChain::extend`](crate::wire::HeaderChain::extend) verifies and adds them.
//! [`HeaderStore`](crate::HeaderStore) stores the chain.
//! [`recipes`](super::recipes#synchronize-headers) shows a loop.
