//! Peers with two streams: requests and refusals of both sides, and two peers of this library.

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
