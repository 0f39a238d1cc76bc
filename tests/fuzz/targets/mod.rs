//! What the fuzzer runs, and `cargo test` over every input that the fuzzer has kept.
//!
//! Each target is a function that takes any bytes and panics if a promise of the library is broken. The first bytes of an
//! input choose among settings; what a byte means never changes, else the inputs that are kept would lose theirs.

mod by_definition;
mod choices;
pub(crate) mod commands;
mod compact;
pub(crate) mod frames;
pub(crate) mod header_chain;
pub(crate) mod header_file;
mod input;
pub(crate) mod messages;
pub(crate) mod reconstruction;
pub(crate) mod session;
pub(crate) mod views;
