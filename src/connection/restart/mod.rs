//! What follows from the end of a connection, as a pure plan: no thread, no clock, no randomness.
//!
//! [`RestartPolicy::on_end`] reads the table of [`DisconnectReason::action`] and answers with a [`RestartDecision`]; a
//! [`Supervisor`](super::Supervisor) carries it out.

mod config;
mod plan;
mod tracking;

pub use config::RestartConfig;
pub use plan::{RestartDecision, RestartPolicy};
pub use tracking::RestartTracking;
