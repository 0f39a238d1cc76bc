//! Short programs for common tasks.
//!
//! Each example runs against a [`LocalNode`](crate::local_node::LocalNode). Replace its address by
//! that of a real node, and `Network::Regtest` by its network.
//!
//! # Connect
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::{Connection, ConnectionConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     let mut config = ConnectionConfig::new(Network::Regtest);
//!     config.connect_timeout = Duration::from_secs(3);
//!     let mut peer = Connection::connect(node.address(), &config)?;
//!     println!("{} at height {}", peer.peer_info().user_agent, peer.peer_info().start_height);
//!     println!("round trip {:?}", peer.ping(Duration::from_secs(5))?);
//!     Ok(())
//! }
//! ```
//!
//! # Receive transactions
//!
//! Nodes announce transactions by `inv`. Request them from the peer that announced them. A
//! subscription with a filter receives only the messages of interest.
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::connection::SubscriptionOptions;
//! use bsv_p2p::wire::{Command, Inventory, Message};
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//! # use bsv_p2p::wire::{OutPoint, Transaction, TransactionInput, TransactionOutput, Txid};
//! # fn payment() -> Transaction {
//! #     let previous = OutPoint { txid: Txid([1; 32]), index: 0 };
//! #     Transaction {
//! #         version: 1,
//! #         inputs: vec![TransactionInput { previous, script: vec![0x51], sequence: u32::MAX }],
//! #         outputs: vec![TransactionOutput { value: 1_000, script: vec![0x51] }],
//! #         lock_time: 0,
//! #     }
//! # }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     let options = SubscriptionOptions::with_name("transactions").with_commands([Command::new("inv")]);
//!     let announcements = manager.subscribe_messages_with(options);
//!     manager.start_fixed([node.address()])?;
//!     manager.wait_for_peers(1, Duration::from_secs(10))?;
//!     # assert!(node.wait_for_peers(1, Duration::from_secs(10)));
//!     # node.submit(&payment())?;
//!     for event in announcements {
//!         let event = event?;
//!         let Message::Inv(inv) = &*event.message else { continue };
//!         let txids = inv.inventory.iter().filter_map(|entry| match entry {
//!             Inventory::Tx(txid) => Some(*txid),
//!             _ => None,
//!         });
//!         let txids: Vec<_> = txids.collect();
//!         if txids.is_empty() {
//!             continue;
//!         }
//!         let found = manager.transactions(event.peer_id, &txids, Duration::from_secs(10))?;
//!         for tx in found.into_iter().flatten() {
//!             println!("{}: {} bytes", tx.txid(), tx.bytes().len());
//!             # return Ok(());
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Several peers may announce one transaction. Remember the ids that were requested, for example in
//! a bounded set.
//!
//! # Follow blocks
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     let tips = manager.subscribe_blocks()?;
//!     manager.start_fixed([node.address()])?;
//!     manager.sync_headers(Duration::from_secs(30))?;
//!     node.mine(1)?;
//!     for tip in tips {
//!         let tip = tip?;
//!         println!("height {}: {}", tip.height, tip.hash);
//!         # break;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! After a restart, [`Manager::with_headers`](crate::Manager::with_headers) resumes from a file.
//!
//! # Download a block
//!
//! [`fetch_block`](crate::Manager::fetch_block) returns a block of up to 32 MiB
//! (`limits.buffered`). A larger block is streamed:
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     node.mine(1)?;
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     manager.start_fixed([node.address()])?;
//!     manager.wait_for_peers(1, Duration::from_secs(10))?;
//!     let mut block = manager.fetch_block_reader(node.tip(), Duration::from_secs(60))?;
//!     let mut file = Vec::new(); // or a `File`
//!     std::io::copy(&mut block, &mut file)?; // fails if the data is not the block
//!     println!("{} bytes", file.len());
//!     Ok(())
//! }
//! ```
//!
//! [`BlockReader::visit`](crate::connection::BlockReader::visit) processes transactions in constant
//! memory:
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::connection::BlockVisitor;
//! use bsv_p2p::wire::{TransactionView, Txid};
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//!
//! #[derive(Default)]
//! struct Txids(Vec<Txid>);
//!
//! impl BlockVisitor for Txids {
//!     fn transaction(&mut self, _: u64, txid: Txid, _: TransactionView<'_>) {
//!         self.0.push(txid);
//!     }
//!     // A transaction above 1 MiB is delivered in pieces, and then ends:
//!     fn end(&mut self, _: u64, txid: Txid, _: u64) {
//!         self.0.push(txid);
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     node.mine(1)?;
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     manager.start_fixed([node.address()])?;
//!     manager.wait_for_peers(1, Duration::from_secs(10))?;
//!     let mut txids = Txids::default();
//!     manager.fetch_block_reader(node.tip(), Duration::from_secs(60))?.visit(&mut txids)?;
//!     assert_eq!(txids.0.len(), 1); // valid only because `visit` succeeded
//!     Ok(())
//! }
//! ```
//!
//! # Broadcast and confirm
//!
//! [`transactions`](super::transactions) shows how to broadcast a transaction. A transaction is
//! confirmed by a block that contains it. Compare the transactions of each new block of the active
//! chain, and count its [confirmations](crate::wire::HeaderChain::confirmations):
//!
//! ```
//! use std::time::Duration;
//! use bsv_p2p::{Manager, ManagerConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     let hash = node.mine(3)?[0];
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     manager.start_fixed([node.address()])?;
//!     manager.sync_headers(Duration::from_secs(30))?;
//!     let confirmations = manager.with_chain(|chain| chain.confirmations(&hash)).flatten();
//!     assert_eq!(confirmations, Some(3));
//!     Ok(())
//! }
//! ```
//!
//! A reorganization can remove the block. Check the confirmations again at each tip.
//!
//! # Synchronize headers
//!
//! Without a manager, from one node, into a file:
//!
//! ```
//! use std::time::{Duration, SystemTime, UNIX_EPOCH};
//! use bsv_p2p::wire::BlockHash;
//! use bsv_p2p::{Connection, ConnectionConfig, HeaderStore, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     node.mine(5)?;
//!     # let folder = tempfile::tempdir()?;
//!     # let path = folder.path().join("headers");
//!     let (mut store, mut chain, report) = HeaderStore::open(&path, Network::Regtest)?;
//!     if let Some(damaged) = report.damaged {
//!         eprintln!("{damaged}");
//!     }
//!     let config = ConnectionConfig::new(Network::Regtest);
//!     let mut peer = Connection::connect(node.address(), &config)?;
//!     loop {
//!         let stop = BlockHash::ZERO; // no stop
//!         let headers = peer.headers(&chain.locator(), stop, Duration::from_secs(60))?;
//!         let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
//!         let before = chain.tip();
//!         chain.extend(&headers, u32::try_from(now)?)?;
//!         if chain.tip() == before {
//!             break;
//!         }
//!         store.update(&chain)?;
//!     }
//!     store.sync()?;
//!     assert_eq!(chain.tip().0, 5);
//!     Ok(())
//! }
//! ```
//!
//! One node can withhold headers. A [`Manager`](crate::Manager) compares several sources. Check
//! [`has_minimum_work`](crate::wire::HeaderChain::has_minimum_work) on public networks.
//!
//! # Write a peer store
//!
//! Implement [`PeerStore`](crate::peers::PeerStore), for example with a database. Methods may
//! block: no thread of a connection calls them. Two rules matter: each method is atomic, and no two
//! peers have the same address and port.
//!
//! ```
//! use std::collections::HashMap;
//! use std::net::SocketAddr;
//! use std::sync::{Arc, Mutex};
//! use std::time::SystemTime;
//! use bsv_p2p::peers::{Peer, PeerId, PeerStore, StoreError};
//! use bsv_p2p::{Manager, ManagerConfig, Network};
//!
//! #[derive(Default)]
//! struct MapStore(Mutex<HashMap<PeerId, Peer>>);
//!
//! impl PeerStore for MapStore {
//!     fn create(&self, peer: Peer, _: SystemTime) -> Result<Option<Peer>, StoreError> {
//!         if self.find_by_ip_port(peer.ip_address, peer.port)?.is_some() {
//!             let address = SocketAddr::new(peer.ip_address, peer.port);
//!             return Err(StoreError::DuplicateAddress(address));
//!         }
//!         self.0.lock().unwrap().insert(peer.id, peer);
//!         Ok(None)
//!     }
//!     fn update(&self, peer: Peer) -> Result<(), StoreError> {
//!         let mut peers = self.0.lock().unwrap();
//!         let old = peers.get_mut(&peer.id).ok_or(StoreError::NotFound(peer.id))?;
//!         *old = peer;
//!         Ok(())
//!     }
//!     fn delete(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
//!         Ok(self.0.lock().unwrap().remove(&id))
//!     }
//!     fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
//!         Ok(self.0.lock().unwrap().values().cloned().collect())
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let store = Arc::new(MapStore::default());
//!     let manager = Manager::with_store(ManagerConfig::new(Network::Mainnet), store)?;
//!     // manager.start()?;
//!     # drop(manager);
//!     Ok(())
//! }
//! ```
//!
//! The other methods have default implementations. A database should override `update_all`, which
//! writes several peers, with one transaction. Without `read_bans` and `write_bans`, bans do not
//! survive a restart.
//!
//! # Test your program
//!
//! [`testing`](super::testing) describes nodes in the process, mocks and simulated time.
//!
//! # Debug builds
//!
//! Without optimization, checksums take most of the time. Optimize `sha2` only, in the `Cargo.toml`
//! of your application:
//!
//! ```toml
//! [profile.dev.package.sha2]
//! opt-level = 3
//! ```
//!
//! # Handle slow subscribers
//!
//! A subscription that does not keep up has three options:
//!
//! | option | effect |
//! | --- | --- |
//! | a larger `capacity` | more events wait in memory |
//! | [`OverflowPolicy::Block`](crate::connection::OverflowPolicy::Block), the default | peers are not read while the backlog is full; the subscription ends after 30 s without progress |
//! | [`OverflowPolicy::DropNewest`](crate::connection::OverflowPolicy::DropNewest) | events are dropped and counted; the subscription never ends for this reason |
//!
//! A loop over an [`EventReceiver`](crate::connection::EventReceiver) distinguishes the two ends of
//! a subscription. After a shutdown of the manager the loop ends. If the subscription was too slow,
//! the last item is an error:
//!
//! ```
//! use bsv_p2p::connection::{EventReceiver, RecvError, SubscriptionOptions};
//! use bsv_p2p::event::BitcoinMessageEvent;
//! use bsv_p2p::wire::Command;
//! use bsv_p2p::{Manager, ManagerConfig, Network};
//!
//! fn index(announcements: EventReceiver<BitcoinMessageEvent>) -> Result<(), RecvError> {
//!     for event in announcements {
//!         let event = event?; // too slow: announcements are missing
//!         println!("{}: {}", event.peer_id, event.message.command());
//!     }
//!     Ok(()) // the manager was shut down
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     let announcements = manager.subscribe_messages_with(SubscriptionOptions {
//!         capacity: 10_000,
//!         ..SubscriptionOptions::with_name("indexer").with_commands([Command::new("inv")])
//!     });
//!     let indexer = std::thread::spawn(move || index(announcements));
//!     manager.shutdown()?;
//!     indexer.join().expect("no panic")?;
//!     Ok(())
//! }
//! ```
//!
//! [`SubscriptionEnded`](crate::event::ControlEvent::SubscriptionEnded) and
//! [`Lagged`](crate::event::ControlEvent::Lagged) report the failure and the dropped events of a
//! subscription to the control subscriptions, with its name.
//!
//! Move slow work to other threads, and keep the loop over the receiver short.
