//! Fuzzes `targets/header_chain.rs`.

#![no_main]

#[path = "../targets/header_chain.rs"]
mod header_chain;
#[path = "../targets/input.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|data: &[u8]| header_chain::run(data));
