//! The output of `follow`, as text or as JSON.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::BlockHash;
use serde_json::json;

use crate::date::utc;
use crate::events::say_event;
use crate::news::News;
use crate::shared::{say, say_json};

pub(crate) struct Report {
    pub(crate) json: bool,
}

impl Report {
    /// Prints the tip after the chain caught up.
    pub(crate) fn begin(&self, height: u32, tip: BlockHash) -> io::Result<()> {
        if self.json {
            let tip = tip.to_string();
            return say_json(&json!({ "event": "Synced", "height": height, "tip": tip }));
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
            return say_json(&object(news));
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
                        format!("{bytes} bytes, {transactions} transactions")
                    }
                    Err(error) => format!("not to be had: {error}"),
                };
                say(format_args!(
                    "block {hash}: height {height}, {time}, {content}{from}"
                ))
            }
            News::Reorganisation {
                height,
                disconnected,
            } => {
                let hashes: Vec<_> = disconnected.iter().map(ToString::to_string).collect();
                say(format_args!(
                    "reorganisation from height {height} on, in place of: {}",
                    hashes.join(", ")
                ))
            }
            News::Missed(tips) => say(format_args!("{tips} tips were missed")),
        }
    }
}

fn object(news: &News) -> serde_json::Value {
    match news {
        News::Block {
            hash,
            height,
            time,
            announced_by,
            content,
        } => {
            let (bytes, transactions) = content.as_ref().copied().ok().unzip();
            json!({
                "event": "Block",
                "hash": hash.to_string(),
                "height": height,
                "time": time,
                "bytes": bytes,
                "transactions": transactions,
                "announced_by": announced_by.map(|from| from.to_string()),
                "error": content.as_ref().err(),
            })
        }
        News::Reorganisation {
            height,
            disconnected,
        } => {
            let hashes: Vec<_> = disconnected.iter().map(ToString::to_string).collect();
            json!({ "event": "Reorganisation", "height": height, "disconnected": hashes })
        }
        News::Missed(tips) => json!({ "event": "Missed", "tips": tips }),
    }
}
