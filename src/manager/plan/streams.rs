//! Stream candidates: inbound connections that may be the second stream of a peer. They are
//! accepted even if other connections are not.

use std::net::IpAddr;

use super::Plan;
use crate::peers::PeerId;

/// The current state of connections, which the plan may not have received as events yet.
pub(in crate::manager) trait Insight {
    /// Returns whether the peer has sent its `version`.
    fn has_version(&self, peer_id: PeerId) -> bool;

    /// Returns whether a stream candidate has ended or has been attached as a stream.
    fn candidate_has_ended(&self, peer_id: PeerId) -> bool;

    /// Returns the number of peers at this address that may open a second stream and have not.
    fn streams_awaited_from(&self, address: IpAddr) -> usize;
}

impl Plan {
    /// Returns whether a connection from this address may be the second stream of a peer.
    ///
    /// The number of undecided candidates is limited to the number of awaited streams.
    pub(super) fn awaits_stream(&self, address: IpAddr, insight: &impl Insight) -> bool {
        // Must precede the count of candidates. A candidate that becomes a stream between the two
        // steps then counts neither as a stream nor as a candidate, but never as both.
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
