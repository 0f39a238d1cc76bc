//! The library as a peer of a scripted Teranode, in both roles.

#[path = "../support/client.rs"]
mod client;
mod connections;
mod data;
mod harness;
#[path = "../support/payment.rs"]
mod payment;
mod punishments;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod syncing;
#[path = "../support/teranode/mod.rs"]
mod teranode;
#[path = "../support/with_sources.rs"]
mod with_sources;
