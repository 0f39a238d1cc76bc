//! Peers with two streams: requests and refusals of both sides, and two peers of this library.

mod early_requests;
mod harness;
mod header_requests;
mod hostile_initiator;
mod hostile_responder;
mod hostile_streams;
mod idle;
mod opening_requests;
mod panics;
mod pinning;
mod request_limits;
mod running_config;
mod samples;
mod silence;
mod suspension;
mod teranode;
mod two_actors;
