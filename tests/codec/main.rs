//! The wire layer from outside: every message and frame against recorded and hand-made bytes, against streams
//! that arrive in any pieces, and against bytes that nobody meant as a message.

mod any_message;
mod capture;
mod custom_networks;
mod fields;
mod frame_rules;
mod frames;
mod messages;
mod networks;
mod other_crate;
mod other_crate_proofs;
mod parts;
mod primitives;
#[path = "../support/private_network.rs"]
mod private_network;
mod proofs;
mod properties;
mod rules;
mod serde_forms;
mod serde_limits;
mod serde_round_trips;
mod streamed_blocks;
mod support;
mod text;
