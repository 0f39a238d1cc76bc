//! Fuzzes `targets/reconstruction.rs`.

#![no_main]

#[path = "../targets/by_definition.rs"]
mod by_definition;
#[path = "../targets/compact.rs"]
mod compact;
#[path = "../targets/input.rs"]
mod input;
#[path = "../targets/reconstruction.rs"]
mod reconstruction;

libfuzzer_sys::fuzz_target!(|data: &[u8]| reconstruction::run(data));
