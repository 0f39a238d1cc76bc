//! The policy for user agents of peers, and the check of our own user agent.

use wildmatch::WildMatch;

use super::PeerProfile;
use crate::wire::WireString;

/// Substrings for which an SV Node bans, ignoring case (`-banclientua`, Bitcoin SV node 1.2.2,
/// `src/net/net_processing.cpp`).
const BANNED_BY_SV_NODE: [&str; 3] = ["abc", "cash", "bch"];

/// Substrings that early versions of Teranode reject (`services/legacy/peer_server.go`,
/// `OnVersion`, October 2025).
const REJECTED_BY_TERANODE: [&str; 3] = ["ABC", "Cash", "Unlimited"];

/// Substrings of which later versions of Teranode require one, case-sensitive (`OnVersion`, from
/// November 2025).
const REQUIRED_BY_TERANODE: [&str; 2] = ["Bitcoin SV", "BSV"];

/// Patterns for nodes of other chains: nodes that share the magic of BSV mainnet, and nodes of BTC.
const OTHER_CHAINS: [&str; 8] = [
    "*cash*",
    "*bch*",
    "*abc*",
    "*knuth*",
    "*flowee*",
    "*verde*",
    "*satoshi:*",
    "*btcd:*",
];

/// The user agents of peers that are accepted.
///
/// Patterns ignore case; `*` matches any text and `?` matches one character. As in the node,
/// unusual characters are removed from an agent before it is matched.
///
/// A user agent is a claim of the peer and proves nothing. A peer whose agent is not accepted is
/// disconnected with [`UserAgentRejected`](super::DisconnectReason::UserAgentRejected) and dialed
/// again only after the cool-down. It is never banned.
/// [`required_block`](super::SessionConfig::required_block) distinguishes nodes of other chains
/// reliably.
///
/// The user agent of Teranode, `/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/`, does not contain
/// `Bitcoin SV`. To admit only nodes of Bitcoin SV, require both kinds:
///
/// ```
/// use bsv_p2p::session::UserAgentPolicy;
///
/// let nodes = ["*Bitcoin SV*", "*teranode*"].map(str::to_owned);
/// let policy = UserAgentPolicy::Require(nodes.into());
/// for agent in [
///     "/Bitcoin SV:1.2.2/",
///     "/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/",
///     "/bsv-p2p:0.1.0(Bitcoin SV)/",
/// ] {
///     assert_eq!(policy.rejection_reason(&agent.into()), None);
/// }
/// assert!(policy.rejection_reason(&"/Satoshi:27.0.0/".into()).is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum UserAgentPolicy {
    /// Accepts all agents except those that match one of the patterns. The default, with patterns
    /// for nodes of other chains.
    Refuse(Vec<String>),
    /// Accepts only agents that match one of the patterns, such as `*Bitcoin SV*` and `*teranode*`.
    Require(Vec<String>),
    /// Accepts all agents.
    Any,
}

impl Default for UserAgentPolicy {
    fn default() -> Self {
        UserAgentPolicy::Refuse(OTHER_CHAINS.map(str::to_owned).into())
    }
}

impl UserAgentPolicy {
    /// Returns the reason why an agent is refused: the pattern that it matches, or that it matches
    /// none of the required ones. Returns `None` if the agent is accepted.
    pub fn rejection_reason(&self, user_agent: &WireString) -> Option<String> {
        let agent = sanitize(user_agent.as_bytes());
        let matches = |pattern: &&String| WildMatch::new_case_insensitive(pattern).matches(&agent);
        match self {
            UserAgentPolicy::Refuse(patterns) => patterns
                .iter()
                .find(matches)
                .map(|pattern| format!("matches {pattern:?}")),
            UserAgentPolicy::Require(patterns) => patterns
                .iter()
                .find(matches)
                .is_none()
                .then(|| format!("matches none of {patterns:?}")),
            UserAgentPolicy::Any => None,
        }
    }
}

/// The reason why a kind of node refuses a user agent. Returned by [`check_user_agent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserAgentError {
    /// An SV Node closes the connection and bans the address for 24 hours.
    #[error("SV Node bans user agents that contain {pattern:?} in any case of letters")]
    BannedBySvNode {
        /// The banned substring.
        pattern: &'static str,
    },
    /// Early versions of Teranode reject the `version` and close the connection.
    #[error("Teranode rejects user agents that contain {pattern:?}")]
    RejectedByTeranode {
        /// The rejected substring.
        pattern: &'static str,
    },
    /// Teranode rejects the `version`, closes the connection and bans the address for 24 hours.
    #[error("Teranode bans user agents that contain neither \"Bitcoin SV\" nor \"BSV\"")]
    BannedByTeranode,
}

impl UserAgentError {
    /// Returns the kind of node that refuses the agent.
    pub const fn node(&self) -> PeerProfile {
        match self {
            UserAgentError::BannedBySvNode { .. } => PeerProfile::SvNode,
            UserAgentError::RejectedByTeranode { .. } | UserAgentError::BannedByTeranode => {
                PeerProfile::Teranode
            }
        }
    }
}

/// Checks whether nodes with default options accept a user agent.
///
/// - An SV Node removes unusual characters. It then bans agents that contain `abc`, `cash` or
///   `bch`, regardless of case. For example, it bans `/abcd:1/` and `/a+b+c/` (Bitcoin SV node
///   1.2.2, `src/net/net_processing.cpp`).
/// - Teranode bans agents that contain neither `Bitcoin SV` nor `BSV`. Its early versions reject
///   agents that contain `ABC`, `Cash` or `Unlimited`. Both rules are case-sensitive
///   (`services/legacy/peer_server.go`, `OnVersion`).
///
/// ```
/// use bsv_p2p::session::{PeerProfile, USER_AGENT, check_user_agent};
///
/// assert_eq!(check_user_agent(USER_AGENT), Ok(()));
/// assert_eq!(check_user_agent("/wallet:1.0(BSV)/"), Ok(()));
///
/// let error = check_user_agent("/wallet:1.0/").unwrap_err();
/// assert_eq!(error.node(), PeerProfile::Teranode);
/// let error = check_user_agent("/Cashier:1.0(BSV)/").unwrap_err();
/// assert_eq!(error.node(), PeerProfile::SvNode);
/// ```
///
/// # Errors
///
/// [`UserAgentError`], the first rule that the agent violates, in the order above.
pub fn check_user_agent(user_agent: &str) -> Result<(), UserAgentError> {
    let sanitized = sanitize(user_agent.as_bytes()).to_ascii_lowercase();
    let contains = |text: &str, patterns: [&'static str; 3]| {
        patterns.into_iter().find(|pattern| text.contains(pattern))
    };
    if let Some(pattern) = contains(&sanitized, BANNED_BY_SV_NODE) {
        return Err(UserAgentError::BannedBySvNode { pattern });
    }
    if let Some(pattern) = contains(user_agent, REJECTED_BY_TERANODE) {
        return Err(UserAgentError::RejectedByTeranode { pattern });
    }
    if !REQUIRED_BY_TERANODE
        .iter()
        .any(|required| user_agent.contains(required))
    {
        return Err(UserAgentError::BannedByTeranode);
    }
    Ok(())
}

/// Removes the characters that the node removes before it checks an agent
/// (`src/utilstrencodings.cpp`, `SanitizeString`).
fn sanitize(agent: &[u8]) -> String {
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || b" .,;-_/:?@()".contains(byte);
    agent
        .iter()
        .copied()
        .filter(usual)
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::USER_AGENT;

    #[test]
    fn user_agent_check_names_node_and_pattern() {
        let sv_node = |pattern| Err(UserAgentError::BannedBySvNode { pattern });
        let early_teranode = |pattern| Err(UserAgentError::RejectedByTeranode { pattern });
        let teranode = Err(UserAgentError::BannedByTeranode);
        for (agent, expected) in [
            ("/Bitcoin ABC:0.21(BSV)/", sv_node("abc")),
            ("/a+b+c(BSV)/", sv_node("abc")),
            ("/Cashier(BSV)/", sv_node("cash")),
            ("/sBcH:1(BSV)/", sv_node("bch")),
            ("/b\u{7}c\u{7}h(BSV)/", sv_node("bch")),
            ("/Unlimited:1(BSV)/", early_teranode("Unlimited")),
            ("", teranode),
            ("/bsv-p2p:0.1.0/", teranode),
            ("/wallet:1(bsv)/", teranode),
            ("/wallet:1(bitcoin sv)/", teranode),
            ("/wallet:1(B+SV)/", teranode),
            ("/wallet:1(Bitcoin  SV)/", teranode),
            ("/wallet:1(BSV)/", Ok(())),
            ("/unlimited:1(BSV)/", Ok(())),
            ("/ab/c(Bitcoin SV)/", Ok(())),
            ("/Bitcoin SV:1.2.2/", Ok(())),
            (USER_AGENT, Ok(())),
        ] {
            assert_eq!(check_user_agent(agent), expected, "{agent:?}");
        }
    }

    /// Rules of SV Node and of Teranode are covered by [`check_user_agent`]. Other libraries either
    /// search for one of these texts or accept every agent.
    #[test]
    fn default_user_agent_passes_common_filters() {
        let agent = WireString::from(USER_AGENT);
        assert_eq!(UserAgentPolicy::default().rejection_reason(&agent), None);
        for pattern in ["*Bitcoin SV*", "*bitcoin sv*", "/*:*/", "*BSV*"] {
            let policy = UserAgentPolicy::Require(vec![pattern.to_owned()]);
            assert_eq!(policy.rejection_reason(&agent), None, "{pattern}");
        }
        // Strings of BIP 14: `/NAME:VERSION(COMMENT)/`, printable ASCII.
        assert!(USER_AGENT.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    }

    #[test]
    fn common_pattern_of_sv_node_excludes_teranode() {
        let teranode = "/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/".into();
        let require = |patterns: &[&str]| {
            UserAgentPolicy::Require(patterns.iter().map(|&pattern| pattern.to_owned()).collect())
        };
        assert!(
            require(&["*Bitcoin SV*"])
                .rejection_reason(&teranode)
                .is_some()
        );
        let both = require(&["*Bitcoin SV*", "*teranode*"]);
        assert_eq!(both.rejection_reason(&teranode), None);
        assert_eq!(both.rejection_reason(&"/Bitcoin SV:1.0.13/".into()), None);
        assert_eq!(UserAgentPolicy::default().rejection_reason(&teranode), None);
    }

    #[test]
    fn other_chains_are_refused_with_their_pattern() {
        let policy = UserAgentPolicy::default();
        for agent in [
            "/Satoshi:27.0.0/",
            "/Bitcoin Cash Node:27.1.0(EB32.0)/",
            "/BCH Unlimited/",
        ] {
            assert!(
                policy
                    .rejection_reason(&agent.into())
                    .unwrap()
                    .starts_with("matches \"*"),
                "{agent}"
            );
        }
        for agent in ["/Bitcoin SV:1.2.2/", "", "/bsv-p2p:0.1.0/", "/my own node/"] {
            assert_eq!(policy.rejection_reason(&agent.into()), None, "{agent}");
        }
    }

    #[test]
    fn required_patterns_exclude_all_other_agents() {
        let policy = UserAgentPolicy::Require(vec!["*bitcoin sv:1.?.*".into()]);
        assert_eq!(policy.rejection_reason(&"/Bitcoin SV:1.2.2/".into()), None);
        assert!(policy.rejection_reason(&"/other:1/".into()).is_some());
        assert_eq!(UserAgentPolicy::Any.rejection_reason(&"/abc/".into()), None);
    }
}
