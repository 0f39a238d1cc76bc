//! Peers with two streams: who asks for one and how, who refuses one and how, and two of our own with each other.

#[path = "../support/alone.rs"]
mod alone;
mod early_requests;
mod harness;
mod header_requests;
mod hostile_initiator;
mod hostile_responder;
mod hostile_streams;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod samples;
mod silence;
mod teranode;
mod two_actors;
