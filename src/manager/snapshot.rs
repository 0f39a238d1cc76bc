//! What a person would ask of a manager.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::Metrics;
use super::supervisor::Supervisor;
use crate::connection::ConnectionStatistics;
use crate::peers::{Peer, PeerStatusKind};
use crate::session::DisconnectReason;

/// What there is to know of a manager at one moment, copied out. The numbers may be a moment apart.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// When it was taken.
    pub taken: SystemTime,
    /// Where peers can dial us, while they can.
    pub listening: Option<SocketAddr>,
    /// Each connection, those included that wait for their next life. A peer has one entry, however many streams it has.
    pub connections: Vec<ConnectionStatistics>,
    /// Each known peer that is not dialled now because of what has happened before.
    pub waiting: Vec<BackoffPeer>,
    /// How many peers are known of each status.
    pub known: Vec<(PeerStatusKind, usize)>,
    /// The manager's numbers.
    pub metrics: Metrics,
}

/// A peer that is dialled again some time.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BackoffPeer {
    /// Its identity.
    pub peer_id: Uuid,
    /// Where it is.
    pub address: SocketAddr,
    /// How long it is not dialled.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
    pub next_retry: Duration,
    /// Why.
    pub reason: DisconnectReason,
}

/// The part of a snapshot that the supervisor knows.
pub(super) struct Plans {
    pub(super) listening: Option<SocketAddr>,
    pub(super) waiting: Vec<BackoffPeer>,
    pub(super) known: Vec<(PeerStatusKind, usize)>,
}

impl Plans {
    pub(super) fn of(supervisor: &Supervisor) -> Self {
        let now = super::clock::Now::read();
        let plan = &supervisor.plan;
        let known = plan.table().all();
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
            (kind, plan.table().all().filter(of_kind).count())
        };
        Self {
            listening: supervisor.listening,
            waiting: waiting.collect(),
            known: kinds.map(count).into(),
        }
    }
}
