//! Prints the results, as text or as JSON.

use std::io;

use bsv_p2p::manager::{BroadcastReport, Rejection};
use bsv_p2p::peers::PeerRef;
use bsv_p2p::wire::Txid;
use serde_json::{Value, json};

use crate::news::News;
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
                News::Requested { peer } => {
                    say_json("Requested", &json!({ "peer": peer.to_string() }))
                }
                News::Rejected(rejection) => say_json("Rejected", &object(rejection)),
                News::Relayed { peer } => say_json("Relayed", &json!({ "peer": peer.to_string() })),
            };
        }
        match news {
            News::Requested { peer } => say(format_args!("{peer}: requested the transaction")),
            News::Rejected(rejection) => say(rejection),
            News::Relayed { peer } => say(format_args!("{peer}: relayed the transaction")),
        }
    }

    /// Prints the summary.
    pub(crate) fn end(&self, report: &BroadcastReport) -> io::Result<()> {
        if !self.json {
            return say(report);
        }
        let names =
            |peers: &[PeerRef]| -> Vec<_> { peers.iter().map(PeerRef::to_string).collect() };
        let fields = json!({
            "txid": report.txid.to_string(),
            "announced_to": report.announced_to,
            "requested_by": names(&report.requested_by),
            "rejected_by": report.rejected_by.iter().map(object).collect::<Vec<_>>(),
            "relayed_by": names(&report.relayed_by),
        });
        say_json("Summary", &fields)
    }
}

/// Returns a rejection as a JSON object.
fn object(rejection: &Rejection) -> Value {
    json!({
        "peer": rejection.peer.to_string(),
        "code": rejection.code.0,
        "reason": rejection.reason.to_string(),
    })
}
