//! The rules, by theme.

mod announcements;
mod framing;
mod handshake;
mod headers;
mod inventory;
mod liveness;
mod objects;
mod protoconf;
mod relay;
mod streams;
mod validation;

use crate::finding::Finding;
use crate::rule::{Bans, Difference, Needs, Rule, Software};

/// Returns all rules in the order in which they run.
pub(crate) fn all() -> Vec<Rule> {
    [
        handshake::RULES,
        protoconf::RULES,
        framing::RULES,
        liveness::RULES,
        headers::RULES,
        objects::RULES,
        inventory::RULES,
        relay::RULES,
        validation::RULES,
        streams::RULES,
        announcements::RULES,
    ]
    .concat()
}

/// The defaults of a rule.
const RULE: Rule = Rule {
    id: "",
    text: "",
    source: PROCESSING,
    needs: Needs::Nothing,
    expected: "",
    bans: Bans::Never,
    differences: &[],
    check: |_| Finding::skipped("no check"),
};

/// Returns the difference of Teranode, for [`Rule::differences`].
const fn teranode(note: &'static str) -> Difference {
    Difference {
        of: Software::Teranode,
        note,
    }
}

/// The source of most rules.
const PROCESSING: &str = "SV Node 1.2.2, src/net/net_processing.cpp";

const SILENT: &str = "no answer, connection open";
