//! The fuzz targets. `cargo test` runs them over every stored input.
//!
//! Each target is a function that accepts arbitrary bytes and panics if the library violates a
//! guarantee. The first bytes of an input select settings. The meaning of a byte must never change,
//! because the stored inputs depend on it.

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
