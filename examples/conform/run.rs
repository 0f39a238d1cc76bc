//! Runs rules one by one.

use std::time::{Duration, Instant};

use crate::finding::Finding;
use crate::node::{Access, Endpoint, Node};
use crate::probe::CLOSED;
use crate::rule::Rule;

/// The rules of a run in order, as an iterator over their outcomes.
pub(crate) struct Run {
    node: Node,
    rules: std::vec::IntoIter<Rule>,
    include_bans: bool,
    /// Why no further rule can be run.
    stopped: Option<String>,
}

/// The outcome of a rule.
pub(crate) struct Outcome {
    pub(crate) rule: Rule,
    pub(crate) verdict: Verdict,
    /// The behavior of the node, or the reason why the rule was skipped.
    pub(crate) received: String,
    /// The known behavior of the software of the node, or whether this address is banned now.
    pub(crate) note: Option<String>,
    pub(crate) duration: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Pass,
    Different,
    Fail,
    Skipped,
}

impl Verdict {
    pub(crate) const ALL: [Verdict; 4] = [
        Verdict::Pass,
        Verdict::Different,
        Verdict::Fail,
        Verdict::Skipped,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Different => "different",
            Verdict::Fail => "fail",
            Verdict::Skipped => "skipped",
        }
    }
}

impl Run {
    /// Connects to the node. Rules for which the node bans this address are moved to the end.
    ///
    /// Blocks for at most the timeout of a connection.
    pub(crate) fn start(
        endpoint: Endpoint,
        mut rules: Vec<Rule>,
        include_bans: bool,
    ) -> Result<Self, String> {
        let address = endpoint.address;
        let survey = endpoint.survey();
        let node = survey.map_err(|finding| match finding {
            Finding::Unreachable(text) => text,
            Finding::Broken(text) if text == CLOSED => format!(
                "{address}: {CLOSED}: this address is banned, the node is full, or its network is another one"
            ),
            other => format!("{address}: no handshake: {}", other.into_text()),
        })?;
        rules.sort_by_key(|rule| rule.danger(node.profile()));
        Ok(Self {
            node,
            rules: rules.into_iter(),
            include_bans,
            stopped: None,
        })
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    fn outcome(&mut self, rule: Rule) -> Outcome {
        let started = Instant::now();
        let (verdict, received, note) = match self.reason_to_skip(&rule) {
            Some(reason) => (Verdict::Skipped, reason, None),
            None => self.check(&rule),
        };
        Outcome {
            rule,
            verdict,
            received,
            note,
            duration: started.elapsed(),
        }
    }

    fn reason_to_skip(&self, rule: &Rule) -> Option<String> {
        let is_dangerous = rule.danger(self.node.profile()) > 0;
        if is_dangerous && !self.include_bans {
            return Some("gets this address banned: see --include-bans".into());
        }
        self.stopped.clone()
    }

    fn check(&mut self, rule: &Rule) -> (Verdict, String, Option<String>) {
        let result = rule.check(&self.node);
        let difference = rule.known_difference(&self.node.user_agent());
        let (mut verdict, received, mut note) = match result {
            Ok(received) => (Verdict::Pass, received, None),
            Err(Finding::Skipped(reason)) => return (Verdict::Skipped, reason, None),
            Err(finding) => match difference {
                Some(note) => (
                    Verdict::Different,
                    finding.into_text(),
                    Some(note.to_owned()),
                ),
                None => (Verdict::Fail, finding.into_text(), None),
            },
        };
        let is_dangerous = rule.danger(self.node.profile()) > 0;
        if is_dangerous || verdict != Verdict::Pass {
            // A ban may have closed the connection.
            let access = match self.node.endpoint.access() {
                Access::Open if is_dangerous => "this address is not banned".to_owned(),
                Access::Open => return (verdict, received, note),
                Access::Closed => {
                    if !is_dangerous {
                        verdict = Verdict::Fail;
                    }
                    let reason = "the node closes new connections without an answer";
                    self.stopped = Some(format!("{reason} since rule {}", rule.id));
                    format!("{reason}: this address is banned, or the node is full")
                }
                Access::Failed(error) => {
                    verdict = Verdict::Fail;
                    let reason = "no new connection to the node";
                    self.stopped = Some(format!("{reason} since rule {}: {error}", rule.id));
                    format!("{reason}: {error}")
                }
            };
            note = Some(match note {
                Some(note) => format!("{note}; {access}"),
                None => access,
            });
        }
        (verdict, received, note)
    }
}

impl Iterator for Run {
    type Item = Outcome;

    fn next(&mut self) -> Option<Outcome> {
        let rule = self.rules.next()?;
        Some(self.outcome(rule))
    }
}
