//! Fuzzes `targets/frames.rs`.

#![no_main]

#[path = "../targets/frames.rs"]
mod frames;
#[path = "../targets/input.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|data: &[u8]| frames::run(data));
