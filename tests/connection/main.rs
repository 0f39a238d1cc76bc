//! Connections on loopback sockets: against a scripted peer that misbehaves in every way, and against each other.

mod bad_input;
mod both_ways;
mod events;
mod harness;
mod known_defects;
mod life_cycle;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod reading;
mod requests;
mod resources;
#[path = "../support/seeded.rs"]
mod seeded;
mod sending;
mod stalls;
