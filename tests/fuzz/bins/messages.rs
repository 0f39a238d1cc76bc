//! Fuzzes `targets/messages.rs`.

#![no_main]

#[path = "../targets/commands.rs"]
mod commands;
#[path = "../targets/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages::run(data));
