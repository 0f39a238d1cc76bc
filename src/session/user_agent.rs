//! Which user agents are welcome, and which of our own would get us banned.

use wildmatch::WildMatch;

use crate::wire::WireString;

/// What a default node bans (`-banclientua`, Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`).
const BANNED_BY_NODES: [&str; 3] = ["abc", "cash", "bch"];

/// Agents of other chains: nodes that share the magic of BSV mainnet, or that speak to BTC.
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

/// Which peers we stay with, by their user agent.
///
/// Patterns ignore case; `*` stands for any text and `?` for one character. Like the node, we match what is left of an agent
/// after unusual characters are taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum UserAgentPolicy {
    /// All but those that match one of the patterns. The default, with patterns for nodes of other chains.
    Refuse(Vec<String>),
    /// Only those that match one of the patterns, such as `*Bitcoin SV*`.
    Require(Vec<String>),
    /// All.
    Any,
}

impl Default for UserAgentPolicy {
    fn default() -> Self {
        UserAgentPolicy::Refuse(OTHER_CHAINS.map(str::to_owned).into())
    }
}

impl UserAgentPolicy {
    /// Why an agent is refused, in words: the pattern that it matches, or that none of the wanted does. `None` if it
    /// is welcome.
    pub fn refusal(&self, user_agent: &WireString) -> Option<String> {
        let agent = usual_characters(user_agent.as_bytes());
        let matches = |pattern: &&String| WildMatch::new_case_insensitive(pattern).matches(&agent);
        match self {
            UserAgentPolicy::Refuse(patterns) => patterns
                .iter()
                .find(matches)
                .map(|pattern| format!("it matches {pattern:?}")),
            UserAgentPolicy::Require(patterns) => patterns
                .iter()
                .find(matches)
                .is_none()
                .then(|| format!("it matches none of {patterns:?}")),
            UserAgentPolicy::Any => None,
        }
    }
}

/// Whether a default node bans whoever calls itself that.
///
/// The node looks, whatever the case, for "abc", "cash" and "bch" in what is left after unusual characters are taken out: a name
/// like `/abcd:1/` is fatal, and so is `/a+b+c/`.
///
/// ```
/// use bsv_p2p::session::is_banned_by_nodes;
///
/// assert!(is_banned_by_nodes("/Cashier:1.0/"));
/// assert!(!is_banned_by_nodes("/bsv-p2p:0.1.0/"));
/// ```
pub fn is_banned_by_nodes(user_agent: &str) -> bool {
    let agent = usual_characters(user_agent.as_bytes()).to_ascii_lowercase();
    BANNED_BY_NODES.iter().any(|banned| agent.contains(banned))
}

/// What the node keeps of an agent before it looks at it (`src/utilstrencodings.cpp`, `SanitizeString`).
fn usual_characters(agent: &[u8]) -> String {
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

    #[test]
    fn what_the_node_bans_is_found_in_any_case_and_behind_unusual_characters() {
        for banned in [
            "/Bitcoin ABC:0.21/",
            "/a+b+c/",
            "/Cashier/",
            "/sBcH:1/",
            "/b\u{7}c\u{7}h/",
        ] {
            assert!(is_banned_by_nodes(banned), "{banned}");
        }
        for fine in ["", "/Bitcoin SV:1.2.2/", "/bsv-p2p:0.1.0/", "/ab/c/"] {
            assert!(!is_banned_by_nodes(fine), "{fine}");
        }
    }

    #[test]
    fn nodes_of_other_chains_are_refused_and_the_pattern_is_named() {
        let policy = UserAgentPolicy::default();
        for agent in [
            "/Satoshi:27.0.0/",
            "/Bitcoin Cash Node:27.1.0(EB32.0)/",
            "/BCH Unlimited/",
        ] {
            assert!(
                policy
                    .refusal(&agent.into())
                    .unwrap()
                    .starts_with("it matches \"*"),
                "{agent}"
            );
        }
        for agent in ["/Bitcoin SV:1.2.2/", "", "/bsv-p2p:0.1.0/", "/my own node/"] {
            assert_eq!(policy.refusal(&agent.into()), None, "{agent}");
        }
    }

    #[test]
    fn the_stricter_policy_takes_only_what_it_lists() {
        let policy = UserAgentPolicy::Require(vec!["*bitcoin sv:1.?.*".into()]);
        assert_eq!(policy.refusal(&"/Bitcoin SV:1.2.2/".into()), None);
        assert!(policy.refusal(&"/other:1/".into()).is_some());
        assert_eq!(UserAgentPolicy::Any.refusal(&"/abc/".into()), None);
    }
}
