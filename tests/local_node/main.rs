//! The local node at its boundary: sockets, threads, other nodes.

#[path = "../support/alone.rs"]
mod alone;
mod answers;
mod clients;
mod network;
#[path = "../support/payment.rs"]
mod payment;
mod start_and_end;
mod streams;
mod support;
