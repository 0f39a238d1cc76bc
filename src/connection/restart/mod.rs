//! What follows from the end of a connection, as a pure plan: no thread, no clock, no randomness.
//!
//! [`RestartPlan::on_end`] reads the table of [`DisconnectReason::consequence`] and answers with a [`Verdict`]; a
//! [`Supervisor`](super::Supervisor) carries it out.

mod config;
mod plan;
mod tracking;

pub use config::RestartConfig;
pub use plan::{RestartPlan, Verdict};
pub use tracking::RestartTracking;
