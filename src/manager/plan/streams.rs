//! Connections that may be the second streams of peers, and are let in where another newcomer would not be.

use std::net::IpAddr;

use super::Plan;
use crate::peers::PeerId;

/// What connections know of themselves before the plan hears of it.
pub(in crate::manager) trait Insight {
    /// Whether a handshake has got as far as the peer's `version`.
    fn has_version(&self, peer_id: PeerId) -> bool;

    /// Whether one that was let in as what may be a stream has ended, or is a stream by now.
    fn candidate_has_ended(&self, peer_id: PeerId) -> bool;

    /// How many peers at this address may open a second stream at this moment, and have not.
    fn streams_awaited_from(&self, address: IpAddr) -> usize;
}

impl Plan {
    /// Whether whoever dials us from this address may be the second stream of a peer, apart from those that were let in as such and have
    /// not shown yet what they are: there are never more of them than streams that are awaited.
    pub(super) fn awaits_stream(&self, address: IpAddr, insight: &impl Insight) -> bool {
        // Asked before the others are looked at: one that becomes a stream meanwhile may be counted in neither, but never in both.
        let awaited = insight.streams_awaited_from(address);
        let candidates = self.stream_candidates.iter();
        let undecided = candidates
            .filter(|(peer_id, from)| {
                from.ip() == address && !insight.candidate_has_ended(**peer_id)
            })
            .count();
        undecided < awaited
    }
}
