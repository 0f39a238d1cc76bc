//! Snapshots of the state of a manager.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::Metrics;
use super::supervisor::ManagerSupervisor;
use crate::connection::ConnectionStatistics;
use crate::peers::{Peer, PeerId, PeerStatusKind};
use crate::session::DisconnectReason;

/// The state of a manager at one time.
///
/// Returned by [`Manager::snapshot`](super::Manager::snapshot). The values are read one after
/// another, so they can be slightly inconsistent.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// The time at which the snapshot was taken.
    pub taken_at: SystemTime,
    /// The address on which the manager listens, or `None` if it does not listen.
    pub listening: Option<SocketAddr>,
    /// The statistics of all connections, including pending restarts. A peer with several streams
    /// has one entry.
    pub connections: Vec<ConnectionStatistics>,
    /// The known peers that are not dialed at present because an earlier connection failed or was
    /// closed.
    ///
    /// Excludes peers with an open connection or a scheduled restart, and failures of an earlier
    /// run.
    pub waiting: Vec<BackoffPeer>,
    /// The number of known peers for each status.
    pub known_peers: Vec<(PeerStatusKind, usize)>,
    /// The metrics of the manager.
    pub metrics: Metrics,
}

/// A known peer that is not dialed before a delay has elapsed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BackoffPeer {
    /// The id of the peer.
    pub peer_id: PeerId,
    /// The address of the peer.
    pub address: SocketAddr,
    /// The remaining time before the peer can be dialed again.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
    pub next_retry: Duration,
    /// The reason for which the last connection ended or failed.
    pub reason: DisconnectReason,
}

/// The part of a snapshot that the supervisor provides.
pub(super) struct Plans {
    pub(super) listening: Option<SocketAddr>,
    pub(super) waiting: Vec<BackoffPeer>,
    pub(super) known: Vec<(PeerStatusKind, usize)>,
}

impl Plans {
    pub(super) fn of(supervisor: &ManagerSupervisor) -> Self {
        let now = super::clock::Now::read();
        let plan = &supervisor.plan;
        let known = plan.table().iter();
        let waiting = known.filter_map(|peer| {
            let retry = plan.retry(peer.id)?;
            let next_retry = retry.at.checked_duration_since(now.instant)?;
            Some(BackoffPeer {
                peer_id: peer.id,
                address: peer.socket_address(),
                next_retry,
                reason: retry.reason.clone(),
            })
        });
        let kinds = [
            PeerStatusKind::Unknown,
            PeerStatusKind::Valid,
            PeerStatusKind::Inaccessible,
            PeerStatusKind::Banned,
        ];
        let count = |kind| {
            let of_kind = |peer: &&Peer| peer.status.kind() == kind;
            (kind, plan.table().iter().filter(of_kind).count())
        };
        Self {
            listening: supervisor.listening,
            waiting: waiting.collect(),
            known: kinds.map(count).into(),
        }
    }
}
