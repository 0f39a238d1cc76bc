//! Fuzzes `targets/views.rs`.

#![no_main]

#[path = "../targets/by_definition.rs"]
mod by_definition;
#[path = "../targets/input.rs"]
mod input;
#[path = "../targets/views.rs"]
mod views;

libfuzzer_sys::fuzz_target!(|data: &[u8]| views::run(data));
