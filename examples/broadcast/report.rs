//! What is printed, as text or as JSON.

use std::io;

use bsv_p2p::wire::Txid;
use serde_json::{Value, json};

use crate::offer::{News, Offer, Party};
use crate::shared::{say, say_json};

pub(crate) struct Report {
    pub(crate) json: bool,
}

impl Report {
    pub(crate) fn begin(&self, txid: Txid) -> io::Result<()> {
        if self.json {
            return say_json(&json!({ "event": "Transaction", "txid": txid.to_string() }));
        }
        say(format_args!("transaction {txid}"))
    }

    pub(crate) fn news(&self, news: &News) -> io::Result<()> {
        if self.json {
            return say_json(&object(news));
        }
        match news {
            News::Told { peer } => say(format_args!("{peer}: told")),
            News::Asked { peer } => say(format_args!("{peer}: asks for it")),
            News::Rejected { peer, code, reason } => {
                say(format_args!("{peer}: rejects it ({code}): {reason}"))
            }
            News::Echoed { peer } => say(format_args!("{peer}: has it from the network")),
        }
    }

    pub(crate) fn end(&self, offer: &Offer) -> io::Result<()> {
        let of = |which: fn(&&Party) -> bool| offer.parties().iter().filter(which);
        let (told, asked) = (of(|party| party.told), of(|party| party.asked));
        let (rejected, echoed) = (
            of(|party| party.rejected.is_some()),
            of(|party| party.echoed),
        );
        if !self.json {
            return say(format_args!(
                "told {}, asked {}, rejected {}, has it from the network {}",
                told.count(),
                asked.count(),
                rejected.count(),
                echoed.count()
            ));
        }
        let name = |party: &Party| Value::from(party.address.to_string());
        let rejected = rejected.filter_map(|party| {
            let (code, reason) = party.rejected.as_ref()?;
            Some(json!({ "peer": name(party), "code": code.0, "reason": reason }))
        });
        say_json(&json!({
            "event": "Summary",
            "txid": offer.txid().to_string(),
            "told": told.map(name).collect::<Vec<_>>(),
            "asked_by": asked.map(name).collect::<Vec<_>>(),
            "rejected_by": rejected.collect::<Vec<_>>(),
            "echoed_by": echoed.map(name).collect::<Vec<_>>(),
        }))
    }
}

fn object(news: &News) -> Value {
    match news {
        News::Told { peer } => json!({ "event": "Told", "peer": peer.to_string() }),
        News::Asked { peer } => json!({ "event": "Asked", "peer": peer.to_string() }),
        News::Rejected { peer, code, reason } => json!({
            "event": "Rejected",
            "peer": peer.to_string(),
            "code": code.0,
            "reason": reason,
        }),
        News::Echoed { peer } => json!({ "event": "Echoed", "peer": peer.to_string() }),
    }
}
