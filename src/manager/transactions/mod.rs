//! Transactions that are handed to the network: announced, and served to those who ask.

mod broadcast;
mod offer;
mod pool;
#[cfg(test)]
mod tests;

pub use broadcast::{BroadcastReport, Rejection, TransactionBroadcast};
pub(super) use offer::Offer;
pub(super) use pool::Transactions;

use std::time::Duration;

/// For how long a transaction is announced and served.
const SERVED_FOR: Duration = Duration::from_secs(30 * 60);
/// After which pause those are told who were not told first.
const WAVE_EVERY: Duration = Duration::from_secs(5);
/// How many transactions are served at once …
pub(super) const MAX_TRANSACTIONS: usize = 1000;
/// … and how many bytes they may have together.
pub(super) const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// How often one peer is sent one transaction, or was to be.
const MAX_SERVED: u32 = 3;
/// How many peers are remembered of each kind; those beyond are counted as nothing.
const MAX_LISTED: usize = 1000;
