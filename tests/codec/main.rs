//! The wire layer through its public interface: messages and frames against recorded and
//! constructed bytes, streams in arbitrary pieces, and arbitrary bytes.

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
mod proofs;
mod properties;
mod rules;
mod serde_forms;
mod serde_limits;
mod serde_round_trips;
mod streamed_blocks;
mod strings;
mod support;
mod text;
