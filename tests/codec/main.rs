//! The wire layer from outside: every message and frame against recorded and hand-made bytes, against streams
//! that arrive in any pieces, and against bytes that nobody meant as a message.

mod capture;
mod fields;
mod frames;
mod messages;
mod networks;
mod primitives;
mod proofs;
mod properties;
mod serde_forms;
mod support;
