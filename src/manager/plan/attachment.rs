//! How much a peer is wanted.

use crate::connection::RestartConfig;
use crate::manager::ManagerConfig;

/// How much a peer is wanted, and so how often its connection is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) enum Attachment {
    /// One of many. Once it cannot be opened again at once, its pauses are kept with what is known of it, so that others can be dialled
    /// meanwhile.
    Candidate,
    /// The program has named it: it is dialled again until its tries are spent.
    Named,
    /// It is one of the fixed peers, and is never given up.
    Fixed,
}

impl Attachment {
    /// The plan by which its connection is opened again.
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
