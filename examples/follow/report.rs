//! The output of `follow`, as text or as JSON.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::BlockHash;
use serde_json::{Value, json};

use crate::date::utc;
use crate::events::say_event;
use crate::news::News;
use crate::plural::plural;
use crate::shared::{say, say_json};

pub(crate) struct Report {
    pub(crate) json: bool,
}

impl Report {
    /// Prints the tip after the chain caught up.
    pub(crate) fn begin(&self, height: u32, tip: BlockHash) -> io::Result<()> {
        if self.json {
            let fields = json!({ "height": height, "tip": tip.to_string() });
            return say_json("Synced", &fields);
        }
        say(format_args!("height {height}, tip {tip}"))
    }

    /// Prints an event about the chain or its file. Other events are skipped.
    pub(crate) fn event(&self, event: &ControlEvent) -> io::Result<()> {
        match event {
            ControlEvent::ChainSplit { .. }
            | ControlEvent::TipStale { .. }
            | ControlEvent::HeaderStoreFailed { .. } => say_event(event, self.json),
            _ => Ok(()),
        }
    }

    pub(crate) fn news(&self, news: &News) -> io::Result<()> {
        if self.json {
            let (event, fields) = object(news);
            return say_json(event, &fields);
        }
        match news {
            News::Block {
                hash,
                height,
                time,
                announced_by,
                content,
            } => {
                let time = utc(UNIX_EPOCH + Duration::from_secs((*time).into()));
                let from = announced_by.map(|from| format!(", announced by {from}"));
                let from = from.unwrap_or_default();
                let content = match content {
                    Ok((bytes, transactions)) => {
                        let transactions = plural(*transactions, "transaction");
                        format!("{}, {transactions}", plural(*bytes, "byte"))
                    }
                    Err(error) => format!("download failed: {error}"),
                };
                say(format_args!(
                    "block {hash}: height {height}, {time}, {content}{from}"
                ))
            }
            News::Reorganization {
                height,
                disconnected,
            } => {
                let hashes: Vec<_> = disconnected.iter().map(ToString::to_string).collect();
                say(format_args!(
                    "reorganization at height {height}, disconnected: {}",
                    hashes.join(", ")
                ))
            }
            News::Missed(tips) => say(format_args!("missed {}", plural(*tips, "tip update"))),
        }
    }
}

/// Returns the name and the fields of an event.
fn object(news: &News) -> (&'static str, Value) {
    match news {
        News::Block {
            hash,
            height,
            time,
            announced_by,
            content,
        } => {
            let (bytes, transactions) = content.as_ref().copied().ok().unzip();
            let fields = json!({
                "hash": hash.to_string(),
                "height": height,
                "time": time,
                "size_bytes": bytes,
                "transactions": transactions,
                "peer": announced_by.map(|from| from.to_string()),
                "error": content.as_ref().err(),
            });
            ("Block", fields)
        }
        News::Reorganization {
            height,
            disconnected,
        } => {
            let hashes: Vec<_> = disconnected.iter().map(ToString::to_string).collect();
            let fields = json!({ "height": height, "disconnected": hashes });
            ("Reorganization", fields)
        }
        News::Missed(tips) => ("Missed", json!({ "tips": tips })),
    }
}
