//! The library's own source of what is checked, built with `loom`'s atomics in place of those of `std`.
//!
//! `loom` and not a checker that draws schedules at random: what is checked is small enough to try every interleaving of a few
//! threads, and it uses relaxed atomics, whose reorderings `loom` tries as well.

#[path = "../../src/connection/slots.rs"]
mod slots;

pub use slots::{ConnectionSlots, SlotGuard};
