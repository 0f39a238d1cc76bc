//! The library as a peer of a scripted Teranode, in both roles.

mod punishments;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
#[path = "../support/teranode/mod.rs"]
mod teranode;
