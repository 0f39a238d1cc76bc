//! Short programs for common tasks.
//!
//! Each example runs against a [`LocalNode`](crate::local_node::LocalNode). For a real node,
//! replace the address and `Network::Regtest`. The short examples in the folder `examples` of the
//! repository take both from the command line.
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
//!     let info = peer.peer_info();
//!     println!("{} at height {}", info.user_agent, info.start_height);
//!     println!("round trip {:?}", peer.ping(Duration::from_secs(5))?);
//!     peer.close();
//!     Ok(())
//! }
//! ```
//!
//! [`Connection::connect`](crate::Connection::connect) takes a `SocketAddr`, or a string such as
//! `"seed.bitcoinsv.io"` or `"203.0.113.7:8333"`. [`close`](crate::Connection::close) ensures that
//! the peer can read everything that was sent. If the connection is only dropped, the last messages
//! may be lost.
//!
//! [`messages`](crate::Connection::messages) returns an iterator over the received messages. If the
//! connection is closed, the last item is an error with the reason.
//! [`send`](crate::Connection::send) takes a [`Message`](crate::wire::Message), or the type of any
//! message:
//!
//! ```
//! use bsv_p2p::wire::Message;
//! use bsv_p2p::{Connection, ConnectionConfig, Network, local_node::LocalNode};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = LocalNode::start()?;
//!     let config = ConnectionConfig::new(Network::Regtest);
//!     let mut peer = Connection::connect(node.address(), &config)?;
//!     peer.send(Message::GetAddr)?;
//!     # node.mine(1)?;
//!     for message in peer.messages() {
//!         println!("received {}", message?.command());
//!         # break;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Receive transactions
//!
//! Nodes announce transactions by `inv`. A caller should request a transaction from a peer that
//! announced it. If a subscription has a filter, it receives only messages with these commands.
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
//!     let options = SubscriptionOptions::with_name("transactions");
//!     let options = options.with_commands([Command::new("inv")]);
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
//!         let timeout = Duration::from_secs(10);
//!         let found = manager.transactions(event.peer_id, &txids, timeout)?;
//!         for tx in found.into_iter().flatten() {
//!             println!("{}: {} bytes", tx.txid(), tx.bytes().len());
//!             # return Ok(());
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Several peers may announce one transaction. A caller should store the ids that it requested, for
//! example in a bounded set.
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
//! If the chain should survive a restart, call
//! [`Manager::with_headers`](crate::Manager::with_headers). It stores the headers in a file and
//! resumes from the file.
//!
//! # Download a block
//!
//! [`fetch_block`](crate::Manager::fetch_block) returns a block of up to 32 MiB
//! (`limits.buffered`). A larger block must be streamed:
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
//!     let timeout = Duration::from_secs(60);
//!     let mut block = manager.fetch_block_reader(node.tip(), timeout)?;
//!     let mut file = Vec::new(); // or a `File`
//!     // Fails if the data is not the requested block.
//!     std::io::copy(&mut block, &mut file)?;
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
//!     // Called after the last piece of a transaction above 1 MiB.
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
//!     let timeout = Duration::from_secs(60);
//!     let block = manager.fetch_block_reader(node.tip(), timeout)?;
//!     let mut txids = Txids::default();
//!     block.visit(&mut txids)?;
//!     // The ids are valid only after `visit` succeeded.
//!     assert_eq!(txids.0.len(), 1);
//!     Ok(())
//! }
//! ```
//!
//! # Broadcast and confirm
//!
//! [`transactions`](super::transactions) shows how to broadcast a transaction. A transaction is
//! confirmed if a block of the active chain contains it. To find this block, download each new
//! block and compare the ids of its transactions. Then read the number of its
//! [confirmations](crate::wire::HeaderChain::confirmations):
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
//!     let confirmations = manager.with_chain(|chain| chain.confirmations(&hash));
//!     assert_eq!(confirmations.flatten(), Some(3));
//!     Ok(())
//! }
//! ```
//!
//! A reorganization can disconnect the block, so the confirmations should be checked after each new
//! tip.
//!
//! # Synchronize headers
//!
//! This program downloads the headers of one node into a file, without a manager:
//!
//! ```
//! use std::time::{Duration, SystemTime, UNIX_EPOCH};
//! use bsv_p2p::wire::BlockHash;
//! use bsv_p2p::local_node::LocalNode;
//! use bsv_p2p::{Connection, ConnectionConfig, HeaderStore, Network};
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
//!         let (no_stop, timeout) = (BlockHash::ZERO, Duration::from_secs(60));
//!         let headers = peer.headers(&chain.locator(), no_stop, timeout)?;
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
//! A single node may withhold headers. A [`Manager`](crate::Manager) compares several sources. On
//! public networks, a caller should also check that
//! [`has_minimum_work`](crate::wire::HeaderChain::has_minimum_work) returns `true`.
//!
//! # Write a peer store
//!
//! Implement [`PeerStore`](crate::peers::PeerStore), for example with a database. Methods may
//! block, because no thread of a connection calls them. Each method must be atomic, and no two
//! peers may have the same address and port.
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
//!     fn create(
//!         &self,
//!         peer: Peer,
//!         _: SystemTime,
//!     ) -> Result<Option<Peer>, StoreError> {
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
//! writes several peers in one transaction. If bans should survive a restart, `read_bans` and
//! `write_bans` must be overridden as well.
//!
//! # Test your program
//!
//! [`testing`](super::testing) describes in-process nodes, mocks and simulated time.
//!
//! # Run behind a proxy
//!
//! Connections dial TCP addresses directly: SOCKS proxies are not supported. A forwarder on this
//! machine can connect through a proxy instead, for example one `socat` for each peer:
//!
//! ```text
//! socat TCP-LISTEN:28333,bind=127.0.0.1,fork SOCKS4A:127.0.0.1:203.0.113.7:8333,socksport=9050
//! ```
//!
//! The address of the forwarder is that of the peer:
//!
//! ```
//! use bsv_p2p::{Manager, ManagerConfig, Network};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let manager = Manager::new(ManagerConfig::new(Network::Mainnet))?;
//!     manager.start_fixed(["127.0.0.1:28333"])?;
//!     manager.shutdown()?;
//!     Ok(())
//! }
//! ```
//!
//! - Use fixed peers only. With [`Manager::start`](crate::Manager::start), DNS seeds are queried and
//!   peers are dialed without the proxy.
//! - Pass numeric addresses. Host names are resolved on this machine.
//! - A second stream is a second connection through the same forwarder.
//! - Events and statistics show the address of the forwarder.
//!
//! # Debug builds
//!
//! Without optimization, checksums take most of the time. You should therefore optimize `sha2` in
//! the `Cargo.toml` of your application:
//!
//! ```toml
//! [profile.dev.package.sha2]
//! opt-level = 3
//! ```
//!
//! # Handle slow subscribers
//!
//! If a subscriber is slower than its peers, three options apply:
//!
//! - A larger `capacity` keeps more events in memory.
//! - [`OverflowPolicy::Block`](crate::connection::OverflowPolicy::Block), the default, pauses
//!   reading from a peer while too many of its messages are pending. If the subscriber takes no
//!   event for 15 s, the subscription ends with an error.
//! - [`OverflowPolicy::DropNewest`](crate::connection::OverflowPolicy::DropNewest) drops messages
//!   and counts them.
//!
//! A loop over an [`EventReceiver`](crate::connection::EventReceiver) must handle two cases. If the
//! manager was shut down, the loop ends. If the subscription was too slow, the last item is an
//! error:
//!
//! ```
//! use bsv_p2p::connection::{EventReceiver, RecvError, SubscriptionOptions};
//! use bsv_p2p::event::BitcoinMessageEvent;
//! use bsv_p2p::wire::Command;
//! use bsv_p2p::{Manager, ManagerConfig, Network};
//!
//! type Announcements = EventReceiver<BitcoinMessageEvent>;
//!
//! fn index(announcements: Announcements) -> Result<(), RecvError> {
//!     for event in announcements {
//!         let event = event?; // fails if announcements are missing
//!         println!("{}: {}", event.peer_id, event.message.command());
//!     }
//!     Ok(()) // the manager was shut down
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let manager = Manager::new(ManagerConfig::new(Network::Regtest))?;
//!     let mut options = SubscriptionOptions::with_name("indexer");
//!     options.capacity = 10_000;
//!     let options = options.with_commands([Command::new("inv")]);
//!     let announcements = manager.subscribe_messages_with(options);
//!     let indexer = std::thread::spawn(move || index(announcements));
//!     manager.shutdown()?;
//!     indexer.join().expect("no panic")?;
//!     Ok(())
//! }
//! ```
//!
//! Control events report slow subscriptions by their names:
//! [`SubscriptionEnded`](crate::event::ControlEvent::SubscriptionEnded) if one ended, and
//! [`Lagged`](crate::event::ControlEvent::Lagged) if events were dropped.
//!
//! A loop over a receiver should be short. Slow work should run on other threads.
