//! Broadcasts transactions: announces them and sends them to peers that request them.

mod broadcast;
mod offer;
mod pool;
#[cfg(test)]
mod tests;

pub use broadcast::{BroadcastReport, Rejection, TransactionBroadcast};
pub(super) use offer::Offer;
pub(super) use pool::BroadcastPool;

use std::time::Duration;

/// Time for which a transaction is announced and served.
const SERVED_FOR: Duration = Duration::from_secs(30 * 60);
/// Delay between two waves of announcements.
const WAVE_EVERY: Duration = Duration::from_secs(5);
/// Maximum number of transactions that are broadcast at the same time.
pub(super) const MAX_TRANSACTIONS: usize = 1000;
/// Maximum size of all transactions that are broadcast, in bytes.
pub(super) const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Maximum number of attempts to send a transaction to one peer.
const MAX_SERVED: u32 = 3;
/// Maximum number of peers in each list of a broadcast. Further peers are ignored.
const MAX_LISTED: usize = 1000;
