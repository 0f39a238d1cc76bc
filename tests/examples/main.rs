//! The examples as a user runs them: built, in separate processes, with local nodes.

mod block;
mod broadcast;
mod conform;
mod crawl;
mod crawl_page;
mod decode;
mod follow;
#[path = "../support/header_server.rs"]
mod header_server;
mod headers;
mod listen;
mod mining;
mod monitor;
mod monitor_managing;
mod networks;
#[path = "../support/payment.rs"]
mod payment;
mod ping;
#[path = "../support/private_network.rs"]
mod private_network;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
#[path = "../support/real_node.rs"]
mod real_node;
mod servers;
mod short;
#[path = "../support/teranode/mod.rs"]
mod teranode;
mod teranode_peers;
mod tool;
mod usage;
#[path = "../support/with_sources.rs"]
mod with_sources;
