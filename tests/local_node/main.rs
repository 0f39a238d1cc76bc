//! The local node at its interface: sockets, threads, other nodes.

mod announcements;
mod answers;
mod clients;
mod filters;
mod lists;
mod network;
mod node_rules;
mod orphans;
mod raw;
mod rejects;
mod requested_objects;
mod start_and_end;
mod streams;
mod support;
mod syncing;
mod teranode;
