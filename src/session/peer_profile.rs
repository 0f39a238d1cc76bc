//! The kinds of nodes on the network, whose responses and penalties differ.

use std::fmt;

use crate::wire::WireString;

/// The kind of node that a peer identifies itself as.
///
/// The network consists of SV Nodes and Teranodes. They answer, ignore and punish different
/// messages. The profile is derived from the user agent of the peer's `version`, so a peer can
/// claim any profile. It protects the caller's own requests, and must not be used to trust a peer.
///
/// The effects of the profile [`Teranode`](Self::Teranode):
/// - If a Teranode punishes or ignores a message, it is rejected with
///   [`SendError`](super::SendError). Examples are bloom filters, requests of filtered or compact
///   blocks, and unsupported commands such as `gethdrsen`, `cmpctblock` and `mempool`.
/// - `headers` and `block` are rejected unless the peer requested them. Blocks must therefore be
///   announced by `inv`.
/// - Requests have at most 505 objects, which a Teranode does not score.
/// - `sendheaders` is always sent, and a ping at least every 60 s.
/// - A request for one header by its hash fails with
///   [`Error::NotSupportedByPeer`](crate::Error::NotSupportedByPeer).
///
/// A Teranode answers `getblocks` with the blocks before the locator instead of those after it.
/// Such a message can be sent, but blocks should be requested by `getheaders`. A Teranode cannot
/// send a block above 4,000,000,000 bytes: a request for one is not answered.
///
/// SV Nodes and Teranodes send addresses only on connections that this side has opened.
///
/// ```
/// use bsv_p2p::session::PeerProfile;
///
/// let agent = "/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/".into();
/// assert_eq!(PeerProfile::from_user_agent(&agent), PeerProfile::Teranode);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum PeerProfile {
    /// Bitcoin SV node, the C++ implementation. Its user agent contains `Bitcoin SV:`.
    SvNode,
    /// The legacy peer service of Teranode. Its user agent contains `teranode`.
    Teranode,
    /// Any other software. It is treated like an SV Node.
    #[default]
    Other,
}

impl PeerProfile {
    /// Returns the profile of a peer with this user agent. Ignores the case of letters.
    pub fn from_user_agent(user_agent: &WireString) -> Self {
        let agent = user_agent.as_bytes().to_ascii_lowercase();
        let contains = |part: &str| {
            let mut parts = agent.windows(part.len());
            parts.any(|window| window == part.as_bytes())
        };
        if contains("teranode") {
            PeerProfile::Teranode
        } else if contains("bitcoin sv:") {
            PeerProfile::SvNode
        } else {
            PeerProfile::Other
        }
    }

    /// Returns the name of the profile: `SV Node`, `Teranode` or `other`.
    pub const fn name(self) -> &'static str {
        match self {
            PeerProfile::SvNode => "SV Node",
            PeerProfile::Teranode => "Teranode",
            PeerProfile::Other => "other",
        }
    }
}

impl fmt::Display for PeerProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A request that nodes of some kinds never answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerRequest {
    /// The header of one block, by an empty locator and the hash of the block.
    HeaderByHash,
    /// Addresses of other nodes.
    Addresses,
}

impl PeerRequest {
    /// Returns what is requested, for errors.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            PeerRequest::HeaderByHash => "a header by its hash",
            PeerRequest::Addresses => "addresses on a connection that it opened",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_follows_from_user_agent() {
        for (agent, profile) in [
            ("/Bitcoin SV:1.2.2/", PeerProfile::SvNode),
            ("/Bitcoin SV:1.0.13(EB4000.0)/", PeerProfile::SvNode),
            (
                "/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/",
                PeerProfile::Teranode,
            ),
            ("/Teranode:1.0(Bitcoin SV)/", PeerProfile::Teranode),
            ("/bsv-p2p:0.1.0(Bitcoin SV)/", PeerProfile::Other),
            ("/bsvwire:0.5.0/", PeerProfile::Other),
            ("", PeerProfile::Other),
        ] {
            assert_eq!(
                PeerProfile::from_user_agent(&agent.into()),
                profile,
                "{agent}"
            );
        }
    }
}
