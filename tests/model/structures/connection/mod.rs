//! The close cell, the wakers and the lifecycle of connections.

#[path = "../../../../src/connection/close_cell.rs"]
mod close_cell;
pub mod close_cell_checks;
#[path = "../../../../src/connection/actor/lifecycle.rs"]
mod lifecycle;
pub mod lifecycle_checks;
#[path = "../../../../src/connection/waker.rs"]
mod waker;
