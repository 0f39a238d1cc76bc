//! Fuzzes `targets/session.rs`.

#![no_main]

#[path = "../targets/choices.rs"]
mod choices;
#[path = "../targets/commands.rs"]
mod commands;
#[path = "../targets/input.rs"]
mod input;
#[path = "../targets/session.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|data: &[u8]| session::run(data));
