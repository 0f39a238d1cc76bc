//! The output, as a table or as JSON.

use std::io;

use serde_json::json;

use crate::milliseconds::milliseconds;
use crate::node::Node;
use crate::rule::Rule;
use crate::run::{Outcome, Verdict};
use crate::shared::{Failure, say, say_json};

/// Prints and counts outcomes.
pub(crate) struct Report {
    json: bool,
    address: String,
    user_agent: String,
    results: Vec<(&'static str, Verdict)>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            address: String::new(),
            user_agent: String::new(),
            results: Vec::new(),
        }
    }

    /// Prints all rules without running them.
    pub(crate) fn list(&self, rules: &[Rule]) -> io::Result<()> {
        for rule in rules {
            if self.json {
                let fields = json!({
                    "rule": rule.id,
                    "text": rule.text,
                    "source": rule.source,
                    "expected": rule.expected,
                    "needs": rule.needs(),
                });
                say_json("Rule", &fields)?;
            } else {
                say(format_args!("{:ID_WIDTH$} {}", rule.id, rule.text))?;
                say(format_args!("{:ID_WIDTH$} defined in {}", "", rule.source))?;
                if let Some(needs) = rule.needs() {
                    say(format_args!("{:ID_WIDTH$} needs {needs}", ""))?;
                }
            }
        }
        Ok(())
    }

    /// Prints a warning on standard error.
    pub(crate) fn warn(&self, text: &str) -> io::Result<()> {
        use std::io::Write;
        writeln!(io::stderr(), "warning: {text}")
    }

    /// Prints the identity of the node.
    pub(crate) fn node(&mut self, node: &Node) -> io::Result<()> {
        self.address = node.endpoint.address.to_string();
        self.user_agent = node.user_agent().to_string();
        if self.json {
            return Ok(());
        }
        say(format_args!(
            "{}: {}, version {}, services {}, height {}, rules of {}",
            self.address,
            self.user_agent,
            node.version.version,
            node.version.services,
            node.version.start_height_or_default(),
            "SV Node 1.2.2",
        ))?;
        say(format_args!(
            "{:9} {:ID_WIDTH$} description",
            "result", "rule"
        ))
    }

    /// Prints a row of the table.
    pub(crate) fn rule(&mut self, outcome: &Outcome) -> io::Result<()> {
        let (rule, verdict) = (&outcome.rule, outcome.verdict);
        self.results.push((rule.id, verdict));
        if self.json {
            let fields = json!({
                "peer": self.address,
                "rule": rule.id,
                "text": rule.text,
                "source": rule.source,
                "result": verdict.name(),
                "expected": rule.expected,
                "received": outcome.received,
                "note": outcome.note,
                "duration_ms": milliseconds(outcome.duration),
            });
            return say_json("Rule", &fields);
        }
        say(format_args!(
            "{:9} {:ID_WIDTH$} {}",
            verdict.name(),
            rule.id,
            rule.text
        ))?;
        let line = |name: &str, text: &str| say(format_args!("{:INDENT$} {name}: {text}", ""));
        if verdict == Verdict::Skipped {
            line("reason", &outcome.received)?;
        } else {
            line("expected", rule.expected)?;
            line("received", &outcome.received)?;
        }
        match &outcome.note {
            Some(note) => line("note", note),
            None => Ok(()),
        }
    }

    /// Prints the summary. Fails if a rule failed.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let count = |verdict| self.results.iter().filter(|(_, it)| *it == verdict).count();
        let ids_with = |verdict| {
            let results = self.results.iter().filter(move |(_, it)| *it == verdict);
            results.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        let failed = ids_with(Verdict::Fail);
        if self.json {
            let fields = json!({
                "peer": self.address,
                "user_agent": self.user_agent,
                "pass": count(Verdict::Pass),
                "different": ids_with(Verdict::Different),
                "fail": failed,
                "skipped": ids_with(Verdict::Skipped),
            });
            say_json("Summary", &fields)?;
        } else {
            let counts =
                Verdict::ALL.map(|verdict| format!("{} {}", verdict.name(), count(verdict)));
            say(counts.join(", "))?;
        }
        match failed.len() {
            0 => Ok(()),
            _ => Err(format!("{} violates: {}", self.address, failed.join(", ")).into()),
        }
    }
}

/// The width of the column of rule ids.
const ID_WIDTH: usize = 27;
/// The indentation of the lines below a rule.
const INDENT: usize = 9 + 1 + ID_WIDTH;
