//! The persistence with which a connection is reopened.

use crate::connection::RestartConfig;
use crate::manager::ManagerConfig;

/// The persistence with which the connection to a peer is reopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) enum Attachment {
    /// An automatically selected peer. The connection itself restarts only without a delay. Longer
    /// pauses are kept by the plan, so that other candidates can be dialed during them.
    Candidate,
    /// A manual peer, which is dialed until its attempts are exhausted.
    Named,
    /// A fixed peer, which is dialed without a limit of attempts.
    Fixed,
}

impl Attachment {
    /// Returns the restart configuration of the connection.
    pub(in crate::manager) fn restarts(self, config: &ManagerConfig) -> RestartConfig {
        let max_delayed_restarts = match self {
            Attachment::Candidate => Some(0),
            Attachment::Named => config.restarts.max_delayed_restarts,
            Attachment::Fixed => None,
        };
        RestartConfig {
            max_delayed_restarts,
            ..config.restarts.clone()
        }
    }
}
