//! What there is to tell of new tips.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::connection::BlockVisitor;
use bsv_p2p::manager::TipUpdate;
use bsv_p2p::wire::BlockHash;
use bsv_p2p::{Error, Manager};
use crossbeam_channel::Sender;

/// How long a block may take until somebody sends it.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Something to tell.
pub(crate) enum News {
    Block {
        hash: BlockHash,
        height: u32,
        /// As its miner says, in seconds since 1970.
        time: u32,
        /// From whom it was first heard of, as far as that is known.
        announced_by: Option<SocketAddr>,
        /// Its size in bytes, and how many transactions it has, or why nobody has given it.
        content: Result<(u64, u64), String>,
    },
    /// These blocks are part of the chain no more, the highest first; the last of them had this height.
    Reorganisation {
        height: u32,
        disconnected: Vec<BlockHash>,
    },
    /// So many tips came too fast.
    Missed(u64),
}

/// Looks at each of these tips and at what comes with it, until there are no more or nobody listens.
pub(crate) fn gather(
    manager: &Manager,
    tips: impl IntoIterator<Item = TipUpdate>,
    end: Instant,
    news: &Sender<News>,
) {
    for tip in tips {
        for new in of_tip(manager, &tip, end) {
            if news.send(new).is_err() {
                return;
            }
        }
    }
}

/// What is new with a tip. A block is fetched only when its turn comes.
fn of_tip<'a>(
    manager: &'a Manager,
    tip: &'a TipUpdate,
    end: Instant,
) -> impl Iterator<Item = News> + 'a {
    let announced_by = tip.announced_by.and_then(|peer_id| {
        let connection = manager.connection(peer_id).ok()?;
        Some(connection.address())
    });
    // The first of those that are new is right above the last that stays.
    let first = (tip.height + 1).saturating_sub(tip.connected.len() as u32);
    let missed = (tip.skipped > 0).then_some(News::Missed(tip.skipped));
    let reorganised = (!tip.disconnected.is_empty()).then(|| News::Reorganisation {
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
            // Another block may stand there by now, of which the next tip tells.
            (header.hash() == *hash).then(|| News::Block {
                hash: *hash,
                height,
                time: header.time,
                announced_by,
                content: content(manager, *hash, end).map_err(|error| error.to_string()),
            })
        });
    missed.into_iter().chain(reorganised).chain(blocks)
}

/// Goes through a block, of whatever size, while it arrives.
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
