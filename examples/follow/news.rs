//! Collects the news of each tip update: blocks, reorganizations and missed updates.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{BlockVisitor, RecvError};
use bsv_p2p::manager::TipUpdate;
use bsv_p2p::wire::BlockHash;
use bsv_p2p::{Error, Manager};
use crossbeam_channel::Sender;

use crate::shared::with_sources;

/// Maximum time until a peer sends the header of a requested block.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// One item of output.
pub(crate) enum News {
    /// A block joined the active chain.
    Block {
        hash: BlockHash,
        height: u32,
        /// The time in the header, which the miner chose, in Unix seconds.
        time: u32,
        /// The peer that announced the tip first. `None` if no peer announced it.
        announced_by: Option<SocketAddr>,
        /// The size in bytes and the number of transactions, or why the download failed.
        content: Result<(u64, u64), String>,
    },
    /// Blocks left the active chain.
    Reorganization {
        /// The height of the lowest disconnected block.
        height: u32,
        /// In descending order of height.
        disconnected: Vec<BlockHash>,
    },
    /// Number of tip updates that were discarded because the receiver was full.
    Missed(u64),
}

/// Sends the news of each tip update, and the error if the subscription failed. Returns when `tips`
/// ends or the receiver of `news` is dropped.
///
/// Blocks while `news` is full and while blocks are downloaded. After `end`, downloads fail
/// immediately.
pub(crate) fn gather(
    manager: &Manager,
    tips: impl IntoIterator<Item = Result<TipUpdate, RecvError>>,
    end: Instant,
    news: &Sender<Result<News, RecvError>>,
) {
    for tip in tips {
        let tip = match tip {
            Ok(tip) => tip,
            Err(error) => {
                // The receiver may be dropped.
                let _ = news.send(Err(error));
                return;
            }
        };
        for new in of_tip(manager, &tip, end) {
            if news.send(Ok(new)).is_err() {
                return;
            }
        }
    }
}

/// Returns the news of a tip update. Each block is fetched when the iterator reaches it.
fn of_tip<'a>(
    manager: &'a Manager,
    tip: &'a TipUpdate,
    end: Instant,
) -> impl Iterator<Item = News> + 'a {
    let announced_by = tip.announced_by.map(|peer| peer.address);
    // The height of the first connected block, directly above the fork point.
    let first = (tip.height + 1).saturating_sub(tip.connected.len() as u32);
    let missed = (tip.skipped > 0).then_some(News::Missed(tip.skipped));
    let reorganized = (!tip.disconnected.is_empty()).then(|| News::Reorganization {
        height: first,
        disconnected: tip.disconnected.clone(),
    });
    let blocks = (first..)
        .zip(&tip.connected)
        .filter_map(move |(height, hash)| {
            let header = if *hash == tip.hash {
                tip.header
            } else {
                manager.with_chain(|chain| chain.header_at(height).copied())??
            };
            // A reorganization may have replaced the block. The next update reports it then.
            (header.hash() == *hash).then(|| News::Block {
                hash: *hash,
                height,
                time: header.time,
                announced_by,
                content: content(manager, *hash, end).map_err(|error| with_sources(&error)),
            })
        });
    missed.into_iter().chain(reorganized).chain(blocks)
}

/// Returns the size of a block in bytes and its number of transactions.
///
/// Reads the block while it arrives, so that memory does not depend on its size. Blocks for at most
/// [`BLOCK_TIMEOUT`] until a peer sends the header of the block, and then until the block is
/// complete.
///
/// # Errors
///
/// - If no peer sends the block before the timeout, or before `end`.
/// - If the transfer fails or the block is invalid.
fn content(manager: &Manager, hash: BlockHash, end: Instant) -> Result<(u64, u64), Error> {
    let left = end.saturating_duration_since(Instant::now());
    let block = manager.fetch_block_reader(hash, left.min(BLOCK_TIMEOUT))?;
    let bytes = block.len();
    let mut counter = Counter::default();
    block.visit(&mut counter)?;
    Ok((bytes, counter.transactions))
}

#[derive(Default)]
struct Counter {
    transactions: u64,
}

impl BlockVisitor for Counter {
    fn transaction_count(&mut self, count: u64) {
        self.transactions = count;
    }
}
