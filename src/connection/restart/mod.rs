//! Decides whether and when a connection is restarted.
//!
//! The decisions are a pure state machine without threads, clock and randomness.
//! [`RestartPolicy::on_end`] maps the [action](crate::session::DisconnectReason::action) of a
//! reason to a [`RestartDecision`], which a [`Supervisor`](super::Supervisor) carries out.

mod config;
mod policy;
mod tracking;

pub use config::RestartConfig;
pub use policy::{RestartDecision, RestartPolicy};
pub use tracking::RestartTracking;
