//! Connections of the library over TCP in memory, in many schedules of their threads.
//!
//! Each check states its invariants. All of them also assert that no thread and
//! no socket is left at their end: see [`harness::explore`].

extern crate model_checker as std;

extern crate model_checker as socket2;

extern crate model_library as bsv_p2p;

mod config;
mod events;
mod harness;
mod lifecycle;
mod memory;
#[allow(dead_code, reason = "not all helpers of the tests are used")]
#[path = "../../../support/src/mining.rs"]
mod mining;
#[allow(dead_code, reason = "not all helpers of the tests are used")]
#[path = "../../../support/src/raw_peer.rs"]
mod raw_peer;
mod sending;
mod streams;
