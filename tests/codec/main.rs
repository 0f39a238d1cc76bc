//! The wire layer from outside: every message and frame against recorded and hand-made bytes, against streams
//! that arrive in any pieces, and against bytes that nobody meant as a message.

mod capture;
mod fields;
mod frames;
mod messages;
mod networks;
mod other_crate;
mod other_crate_proofs;
mod primitives;
mod proofs;
mod properties;
mod rules;
mod serde_forms;
mod serde_limits;
mod streamed_blocks;
mod support;
mod text;
