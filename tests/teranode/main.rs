//! The library as a peer of a scripted Teranode, in both roles.

mod connections;
mod data;
mod harness;
mod punishments;
mod syncing;
