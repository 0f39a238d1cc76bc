//! A rule of the protocol.

use bsv_p2p::session::PeerProfile;
use bsv_p2p::wire::WireString;

use crate::finding::{Check, Finding};
use crate::node::Node;
use crate::plural::plural;

/// A rule that nodes must follow.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    /// The description of the rule.
    pub(crate) text: &'static str,
    /// Where the rule is defined.
    pub(crate) source: &'static str,
    pub(crate) needs: Needs,
    /// The behavior of a node that follows the rule.
    pub(crate) expected: &'static str,
    pub(crate) bans: Bans,
    /// The known behavior of other software that violates the rule.
    pub(crate) differences: &'static [Difference],
    pub(crate) check: fn(&Node) -> Check,
}

/// The requirements of a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// At least this many blocks after genesis, and no initial download.
    Blocks(u32),
    /// At least one block, and the permission to extend the chain.
    Mining,
}

/// The software that bans the address of the sender for the messages of a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bans {
    Never,
    /// Teranode only.
    Teranode,
    /// Every node, by a score. SV Node spares loopback addresses and peers on its whitelist.
    ByScore,
    /// Every node, also for loopback addresses.
    AtOnce,
}

/// The behavior of other software that violates a rule.
#[derive(Clone, Copy)]
pub(crate) struct Difference {
    pub(crate) of: Software,
    pub(crate) note: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Software {
    Teranode,
    /// SV Node before this version.
    SvNodeBefore([u32; 3]),
}

impl Rule {
    /// Returns the risk that the node bans the address of the sender for the messages of the rule.
    /// 0 means none.
    pub(crate) fn danger(&self, profile: PeerProfile) -> u8 {
        match self.bans {
            Bans::Never => 0,
            Bans::Teranode if profile != PeerProfile::Teranode => 0,
            Bans::Teranode | Bans::ByScore => 1,
            Bans::AtOnce => 2,
        }
    }

    /// Returns the note about the known behavior of the software of the node.
    pub(crate) fn known_difference(&self, user_agent: &WireString) -> Option<&'static str> {
        let known = self.differences.iter();
        let mut known = known.filter(|difference| difference.of.matches(user_agent));
        known.next().map(|difference| difference.note)
    }

    /// Returns a description of the requirements of the rule.
    pub(crate) fn needs(&self) -> Option<String> {
        let needs = match self.needs {
            Needs::Nothing => None,
            Needs::Blocks(count) => Some(plural(count, "block")),
            Needs::Mining => Some("1 block and --mine".into()),
        };
        match self.bans {
            Bans::Never => needs,
            Bans::Teranode => Some("--include-bans at a Teranode".into()),
            Bans::ByScore | Bans::AtOnce => Some("--include-bans".into()),
        }
    }

    /// Runs the rule against a node.
    pub(crate) fn check(&self, node: &Node) -> Check {
        let count = match self.needs {
            Needs::Nothing => 0,
            Needs::Blocks(count) => count,
            Needs::Mining if node.endpoint.may_mine => 1,
            Needs::Mining => return Finding::skipped("extends the chain of the node: see --mine"),
        };
        if !node.has_blocks(count) {
            return Finding::skipped(format!(
                "node serves fewer than {}, or is in initial download",
                plural(count, "header")
            ));
        }
        (self.check)(node)
    }
}

impl Software {
    fn matches(self, user_agent: &WireString) -> bool {
        match self {
            Software::Teranode => PeerProfile::from_user_agent(user_agent) == PeerProfile::Teranode,
            Software::SvNodeBefore(limit) => {
                sv_node_version(user_agent).is_some_and(|version| version < limit)
            }
        }
    }
}

/// Returns the version in an SV Node's user agent, such as `/Bitcoin SV:1.0.13/`.
fn sv_node_version(user_agent: &WireString) -> Option<[u32; 3]> {
    let version = user_agent.as_str()?.strip_prefix("/Bitcoin SV:")?;
    let end = version.find(|character: char| character != '.' && !character.is_ascii_digit())?;
    let mut numbers = version[..end].split('.').map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}
