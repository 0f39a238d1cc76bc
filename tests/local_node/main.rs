//! The local node at its interface: sockets, threads, other nodes.

#[path = "../support/alone.rs"]
mod alone;
mod announcements;
mod answers;
mod clients;
mod filters;
mod lists;
mod network;
mod node_rules;
mod orphans;
#[path = "../support/payment.rs"]
mod payment;
#[path = "../support/private_network.rs"]
mod private_network;
mod raw;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod rejects;
mod requested_objects;
#[path = "../support/node_rules.rs"]
mod rules;
mod start_and_end;
mod streams;
mod support;
mod syncing;
mod teranode;
#[path = "../support/with_sources.rs"]
mod with_sources;
