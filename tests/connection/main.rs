//! Connections on loopback sockets: against a scripted peer that misbehaves in every way, and against each other.

mod bad_input;
mod both_ways;
mod events;
mod harness;
mod life_cycle;
mod over_capacity;
mod payload_memory;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod reading;
mod requests;
mod resources;
mod restarts;
mod running_config;
mod sending;
mod stalls;
