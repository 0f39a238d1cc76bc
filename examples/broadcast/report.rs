//! Prints the results, as text or as JSON.

use std::io;

use bsv_p2p::manager::{BroadcastReport, Rejection};
use bsv_p2p::peers::PeerId;
use bsv_p2p::wire::Txid;
use serde_json::{Value, json};

use crate::news::{News, Watch};
use crate::plural::plural;
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
            return say_json("Transaction", &json!({ "txid": txid.to_string() }));
        }
        say(format_args!("transaction {txid}"))
    }

    /// Prints a response of a peer.
    pub(crate) fn news(&self, news: &News) -> io::Result<()> {
        if self.json {
            return match news {
                News::Asked { peer } => say_json("Requested", &json!({ "peer": peer })),
                News::Rejected(rejection) => say_json("Rejected", &object(rejection)),
                News::Echoed { peer } => say_json("Relayed", &json!({ "peer": peer })),
            };
        }
        match news {
            News::Asked { peer } => say(format_args!("{peer}: requested the transaction")),
            News::Rejected(Rejection {
                address,
                code,
                reason,
                ..
            }) => say(format_args!(
                "{address}: rejected the transaction ({code}): {reason}"
            )),
            News::Echoed { peer } => say(format_args!("{peer}: relayed the transaction")),
        }
    }

    /// Prints the summary.
    pub(crate) fn end(&self, report: &BroadcastReport, watch: &Watch) -> io::Result<()> {
        let (told, asked) = (report.told, &report.asked_by);
        let (rejected, echoed) = (&report.rejected_by, &report.echoed_by);
        if !self.json {
            return say(format_args!(
                "announced to {}, requested by {}, relayed by {}, rejected by {}",
                plural(told, "peer"),
                asked.len(),
                echoed.len(),
                rejected.len()
            ));
        }
        let names = |peers: &[PeerId]| -> Vec<_> {
            let names = peers.iter().map(|peer| watch.address(peer));
            names.collect()
        };
        let fields = json!({
            "txid": report.txid.to_string(),
            "announced_to": told,
            "requested_by": names(asked),
            "rejected_by": rejected.iter().map(object).collect::<Vec<_>>(),
            "relayed_by": names(echoed),
        });
        say_json("Summary", &fields)
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
