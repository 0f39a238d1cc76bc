//! Prints the results, as text or as JSON.

use std::io;

use bsv_p2p::manager::{BroadcastReport, Rejection};
use bsv_p2p::peers::PeerId;
use bsv_p2p::wire::Txid;
use serde_json::{Value, json};

use crate::news::{News, Watch};
use crate::shared::{say, say_json};

/// The output of the tool.
pub(crate) struct Report {
    /// Whether to print JSON objects instead of text.
    pub(crate) json: bool,
}

impl Report {
    /// Prints the id of the transaction.
    pub(crate) fn begin(&self, txid: Txid) -> io::Result<()> {
        if self.json {
            return say_json(&json!({ "event": "Transaction", "txid": txid.to_string() }));
        }
        say(format_args!("transaction {txid}"))
    }

    /// Prints a response of a peer.
    pub(crate) fn news(&self, news: &News) -> io::Result<()> {
        if self.json {
            return say_json(&match news {
                News::Requested { peer } => json!({ "event": "Requested", "peer": peer }),
                News::Rejected(rejection) => {
                    let mut object = object(rejection);
                    object["event"] = "Rejected".into();
                    object
                }
                News::Relayed { peer } => json!({ "event": "Relayed", "peer": peer }),
            });
        }
        match news {
            News::Requested { peer } => say(format_args!("{peer}: requested the transaction")),
            News::Rejected(Rejection {
                address,
                code,
                reason,
                ..
            }) => say(format_args!(
                "{address}: rejected the transaction ({code}): {reason}"
            )),
            News::Relayed { peer } => say(format_args!("{peer}: relayed the transaction")),
        }
    }

    /// Prints the summary.
    pub(crate) fn end(&self, report: &BroadcastReport, watch: &Watch) -> io::Result<()> {
        let (announced, requested) = (report.announced_to, &report.requested_by);
        let (rejected, relayed) = (&report.rejected_by, &report.relayed_by);
        if !self.json {
            return say(format_args!(
                "announced to {announced}, requested by {}, relayed by {}, rejected by {}",
                requested.len(),
                relayed.len(),
                rejected.len()
            ));
        }
        let names = |peers: &[PeerId]| -> Vec<_> {
            let names = peers.iter().map(|peer| watch.address(peer));
            names.collect()
        };
        say_json(&json!({
            "event": "Summary",
            "txid": report.txid.to_string(),
            "announced_to": announced,
            "requested_by": names(requested),
            "rejected_by": rejected.iter().map(object).collect::<Vec<_>>(),
            "relayed_by": names(relayed),
        }))
    }
}

/// Returns a rejection as a JSON object.
fn object(rejection: &Rejection) -> Value {
    json!({
        "peer": rejection.address.to_string(),
        "code": rejection.code.0,
        "reason": rejection.reason.to_string(),
    })
}
