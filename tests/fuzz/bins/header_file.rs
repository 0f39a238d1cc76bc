//! Fuzzes `targets/header_file.rs`.

#![no_main]

#[path = "../targets/header_file.rs"]
mod header_file;
#[path = "../targets/input.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|data: &[u8]| header_file::run(data));
