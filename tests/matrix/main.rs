//! The same requests to servers of different kinds: for each the outcome and its time bound.

#[path = "../support/client.rs"]
mod client;
#[path = "../support/matrix.rs"]
mod matrix;
#[path = "../support/payment.rs"]
mod payment;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod scripted_server;
mod servers;
#[path = "../support/teranode/mod.rs"]
mod teranode;
