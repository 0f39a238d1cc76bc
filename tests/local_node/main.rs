//! The local node at its boundary: sockets, threads, other nodes.

mod answers;
mod clients;
mod network;
mod start_and_end;
mod support;
