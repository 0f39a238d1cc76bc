//! Connections on loopback sockets: to a scripted, misbehaving peer and to each other.

#[path = "../support/alone.rs"]
mod alone;
mod answers;
mod bad_input;
mod block_reader;
mod block_transfers;
mod blocking_blocks;
mod both_ways;
mod chain_check;
mod closing;
mod connecting;
mod delivery;
mod events;
mod handle_requests;
mod harness;
mod header_servers;
mod known_defects;
mod life_cycle;
mod over_capacity;
mod oversized_answers;
mod payload_memory;
#[path = "../support/payment.rs"]
mod payment;
mod ports;
#[path = "../support/private_network.rs"]
mod private_network;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod reading;
mod request_ends;
mod requests;
mod resources;
mod restarts;
mod right_peer;
mod running_config;
#[path = "../support/seeded.rs"]
mod seeded;
mod sending;
mod slow_readers;
mod stalls;
mod teranode;
#[path = "../support/with_sources.rs"]
mod with_sources;
