//! How to test an application that uses this library.
//!
//! # In-process nodes
//!
//! [`LocalNode`](crate::local_node::LocalNode) is an in-process node of regtest or of a private
//! network. It has a real chain, mines blocks that a real node accepts, and relays blocks and
//! transactions. Its responses, announcements and rejections are those of SV Node 1.2.2 with
//! default options. It verifies neither scripts nor inputs.
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::local_node::LocalNode;
//! use bsv_p2p::{Connection, ConnectionConfig, Network};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     let hashes = node.mine(2)?;
//!     let config = ConnectionConfig::new(Network::Regtest);
//!     let mut peer = Connection::connect(node.address(), &config)?;
//!     let block = peer.block(hashes[0], Duration::from_secs(5))?;
//!     assert_eq!(block.transaction_count(), 1);
//!     Ok(())
//! }
//! ```
//!
//! | method | effect |
//! | --- | --- |
//! | [`start`](crate::local_node::LocalNode::start) | Starts a node on a free port of 127.0.0.1. |
//! | [`start_at`](crate::local_node::LocalNode::start_at) | Starts a node at an address, with a [`LocalNodeConfig`](crate::local_node::LocalNodeConfig). |
//! | [`start_with`](crate::local_node::LocalNode::start_with) | Starts a node with a given chain. |
//! | [`connect`](crate::local_node::LocalNode::connect) | Connects the node to another one. |
//! | [`mine`](crate::local_node::LocalNode::mine) | Mines and announces blocks. |
//! | [`submit`](crate::local_node::LocalNode::submit) | Adds a transaction to the pool and announces it. |
//! | [`wait_for_peers`](crate::local_node::LocalNode::wait_for_peers), [`wait_for_tip`](crate::local_node::LocalNode::wait_for_tip), [`wait_for_transaction`](crate::local_node::LocalNode::wait_for_transaction) | Block until the node has peers, a tip, or a transaction. |
//!
//! Differences from a real node are listed at [`LocalNode`](crate::local_node::LocalNode).
//!
//! # Teranode
//!
//! [`LocalNodeConfig::teranode`](crate::local_node::LocalNodeConfig::teranode) returns the
//! configuration of a node that responds, announces and punishes like a Teranode.
//!
//! ```
//! use bsv_p2p::local_node::{LocalNode, LocalNodeConfig};
//! use bsv_p2p::session::PeerProfile;
//! use bsv_p2p::{Connection, ConnectionConfig, Network};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let any_port = ([127, 0, 0, 1], 0).into();
//!     let node = LocalNode::start_at(any_port, LocalNodeConfig::teranode())?;
//!     let config = ConnectionConfig::new(Network::Regtest);
//!     let peer = Connection::connect(node.address(), &config)?;
//!     let profile = PeerProfile::from_user_agent(&peer.peer_info().user_agent);
//!     assert_eq!(profile, PeerProfile::Teranode);
//!     Ok(())
//! }
//! ```
//!
//! # Reorganizations
//!
//! [`Chain`](crate::local_node::Chain) and [`BlockTemplate`](crate::local_node::BlockTemplate)
//! build branches without sockets. If you start two nodes with different branches and connect them,
//! the node with less work switches to the other branch.
//!
//! # Mocks
//!
//! [`PeerStore`](crate::peers::PeerStore) and [`SeedResolver`](crate::discovery::SeedResolver) are
//! traits. The documentation of each trait shows a mock with `mockall`.
//!
//! # State machines
//!
//! [`Session`](crate::session::Session), [`RestartPolicy`](crate::connection::RestartPolicy),
//! [`BanList`](crate::peers::BanList), [`HeaderChain`](crate::wire::HeaderChain) and
//! [`Chain`](crate::local_node::Chain) take the time as an argument, so a test should use simulated
//! time. Hours then pass without waiting.
//!
//! # Debug builds
//!
//! If tests transfer much data, you should add this to the `Cargo.toml` of your application.
//! Otherwise, checksums take most of the time.
//!
//! ```toml
//! [profile.dev.package.sha2]
//! opt-level = 3
//! ```
//!
//! # A real node
//!
//! The tool `conform` checks whether a node follows the rules of the wire protocol. The tests of
//! this library run against SV Node 1.0.13. The file `tests/README.md` in the repository describes
//! how to run them.
