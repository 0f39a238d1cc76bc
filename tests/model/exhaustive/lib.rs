//! Connection slots of the library with the atomics of `loom` in place of those of `std`.
//!
//! `loom` explores every interleaving, which is feasible because the checked code is small. It also
//! explores the reorderings of relaxed atomics, which `shuttle` does not.

extern crate loom as std;

#[path = "../../../src/connection/slots.rs"]
mod slots;

pub use slots::{ConnectionSlots, SlotGuard};
