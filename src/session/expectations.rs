//! Counts requested objects, which determine the limits of large payloads.
//!
//! | object | expected | effect |
//! | --- | --- | --- |
//! | of an open request | until the request ends | a large payload is kept |
//! | of a `getdata`, `getblocktxn` or `gethdrsen` of the application | until it arrives, for 30 to 60 minutes | a large payload is kept |
//! | blocks that the peer announces without a request, after `sendcmpct` or `sendhdrsen` | until the connection ends | a large payload is kept |
//! | of a request that ended without it | until it arrives, for 30 to 60 minutes | a payload above the limit of its command is discarded |
//!
//! The request table of a connection knows its open requests. A message of the application has no
//! end, so its objects expire. A late object is not kept, but an honest peer may still send it.

use std::time::{Duration, Instant};

use crate::wire::{Command, ExpectedPayloads, Inventory, Message, Txid};

/// The time after which objects expire: at least one period after they were requested, and at most
/// two. A slow peer needs less time to start the last object of a `getdata`.
const PERIOD: Duration = Duration::from_secs(30 * 60);

/// A number of blocks in any form, and of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObjectCount {
    pub(crate) blocks: u64,
    pub(crate) transactions: u64,
}

impl ObjectCount {
    const BLOCK: Self = Self {
        blocks: 1,
        transactions: 0,
    };
    const TRANSACTION: Self = Self {
        blocks: 0,
        transactions: 1,
    };

    /// Returns the objects that a message requests.
    fn of_request(message: &Message) -> Self {
        match message {
            Message::GetData(request) => Self::of_entries(&request.inventory),
            Message::GetBlockTxn(_) | Message::GetHdrsEn(_) => Self::BLOCK,
            _ => Self::default(),
        }
    }

    /// Counts the entries of a list. All objects other than transactions are answered with some
    /// form of a block, if at all. End markers of requests are not counted.
    fn of_entries(entries: &[Inventory]) -> Self {
        let mut count = Self::default();
        for entry in entries {
            match entry {
                Inventory::Tx(txid) if is_end_marker(txid) => {}
                Inventory::Tx(_) | Inventory::DatarefTx(_) => count.transactions += 1,
                _ => count.blocks += 1,
            }
        }
        count
    }

    /// Returns the objects of a discarded payload, whose content is unknown. `total` is the number
    /// of all expected objects.
    fn of_discarded(command: Command, len: u64, total: Self) -> Self {
        match command.name() {
            "block" | "cmpctblock" | "blocktxn" | "hdrsen" | "merkleblock" => Self::BLOCK,
            "tx" | "datareftx" => Self::TRANSACTION,
            "notfound" => {
                // Most requests for many objects are for transactions.
                let count = len / Inventory::LEN as u64;
                let transactions = count.min(total.transactions);
                Self {
                    blocks: count - transactions,
                    transactions,
                }
            }
            _ => Self::default(),
        }
    }

    pub(crate) fn is_zero(self) -> bool {
        self == Self::default()
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            blocks: self.blocks.saturating_add(other.blocks),
            transactions: self.transactions.saturating_add(other.transactions),
        }
    }

    /// Subtracts as much of `other` as possible, also from `other`.
    fn take(&mut self, other: &mut Self) {
        for (count, other) in [
            (&mut self.blocks, &mut other.blocks),
            (&mut self.transactions, &mut other.transactions),
        ] {
            let common = (*count).min(*other);
            *count -= common;
            *other -= common;
        }
    }
}

/// Returns whether a txid is the end marker of a request: its last 8 bytes are zero. No transaction
/// has such an id except by chance.
fn is_end_marker(txid: &Txid) -> bool {
    txid.0.ends_with(&[0; 8])
}

/// Objects that expire.
#[derive(Debug, Default)]
struct ExpiringCount {
    /// The objects of the current period.
    recent: ObjectCount,
    /// The objects of the period before.
    earlier: ObjectCount,
}

impl ExpiringCount {
    fn add(&mut self, count: ObjectCount) {
        self.recent = self.recent.plus(count);
    }

    /// Subtracts as much of `count` as possible, also from `count`. The latest objects are removed
    /// first, so that answers to later requests do not extend the time of earlier ones.
    fn take(&mut self, count: &mut ObjectCount) {
        self.recent.take(count);
        self.earlier.take(count);
    }

    fn start_period(&mut self) {
        self.earlier = std::mem::take(&mut self.recent);
    }

    fn total(&self) -> ObjectCount {
        self.recent.plus(self.earlier)
    }
}

/// The requested objects that have not arrived.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    /// The objects of open requests.
    open: ObjectCount,
    /// The objects that the application requested by messages.
    messages: ExpiringCount,
    /// The objects of requests that ended without them.
    late: ExpiringCount,
    /// The end of the current period. `None` until bytes arrive after a request.
    period_end: Option<Instant>,
    /// Whether the peer was requested to send new blocks without a request, in compact or enriched
    /// form.
    announced_blocks: bool,
    compact_block_sent: bool,
}

impl Expectations {
    /// Returns whether an outgoing message changes the counts.
    pub(super) fn affects(message: &Message) -> bool {
        matches!(
            message,
            Message::GetData(_)
                | Message::GetBlockTxn(_)
                | Message::GetHdrsEn(_)
                | Message::SendCmpct(_)
                | Message::SendHdrsEn
                | Message::CompactBlock(_)
        )
    }

    /// Records an outgoing message. Must be called before it is sent.
    pub(super) fn on_sent(&mut self, message: &Message) {
        self.messages.add(ObjectCount::of_request(message));
        match message {
            Message::SendCmpct(request) => self.announced_blocks |= request.announce,
            Message::SendHdrsEn => self.announced_blocks = true,
            Message::CompactBlock(_) => self.compact_block_sent = true,
            _ => {}
        }
    }

    /// Handles a message that was recorded, but not sent.
    pub(super) fn on_not_sent(&mut self, message: &Message) {
        self.messages.take(&mut ObjectCount::of_request(message));
    }

    /// Sets the objects of open requests, which replace those of the last call. `late` are those of
    /// requests that ended without them since the last call.
    pub(super) fn set_open(&mut self, open: ObjectCount, late: ObjectCount) {
        self.open = open;
        self.late.add(late);
    }

    /// Starts a new period if it is due. Must be called when bytes arrive.
    pub(super) fn on_clock(&mut self, now: Instant) {
        if self.messages.total().plus(self.late.total()).is_zero() {
            self.period_end = None;
            return;
        }
        let end = *self.period_end.get_or_insert(now + PERIOD);
        if now >= end {
            self.messages.start_period();
            self.late.start_period();
            self.period_end = Some(now + PERIOD);
        }
    }

    /// Extends the period by a pause, during which answers were not read.
    pub(super) fn on_reads_paused(&mut self, pause: Duration) {
        if let Some(end) = &mut self.period_end {
            *end += pause;
        }
    }

    /// Handles a message of the peer. Returns whether it may be an answer to a request.
    pub(super) fn on_received(&mut self, message: &Message) -> bool {
        let arrived = match message {
            Message::Block(_)
            | Message::CompactBlock(_)
            | Message::BlockTransactions(_)
            | Message::HdrsEn(_)
            | Message::MerkleBlock(_) => ObjectCount::BLOCK,
            Message::Tx(_) | Message::DatarefTx(_) => ObjectCount::TRANSACTION,
            Message::NotFound(missing) => ObjectCount::of_entries(&missing.inventory),
            _ => return false,
        };
        self.remove(arrived)
    }

    /// Records the arrival of a block that was delivered incrementally.
    pub(super) fn on_streamed_block(&mut self) {
        self.remove(ObjectCount::BLOCK);
    }

    /// Handles a payload that was discarded while it arrived.
    pub(super) fn on_discarded(&mut self, command: Command, len: u64) {
        let total = self.kept().plus(self.late.total());
        self.remove(ObjectCount::of_discarded(command, len, total));
    }

    pub(super) fn expected(&self) -> ExpectedPayloads {
        let (kept, late) = (self.kept(), self.late.total());
        ExpectedPayloads {
            blocks: self.announced_blocks || kept.blocks > 0,
            transactions: kept.transactions > 0,
            compact_block_sent: self.compact_block_sent,
            objects: kept.blocks.saturating_add(kept.transactions),
            late_blocks: late.blocks,
            late_transactions: late.transactions,
        }
    }

    /// Returns the objects whose payloads are kept.
    fn kept(&self) -> ObjectCount {
        self.open.plus(self.messages.total())
    }

    /// Removes objects that have arrived, or that the peer does not have. Returns whether any was
    /// expected.
    ///
    /// The counts do not show which request an object answers. [`Expectations::set_open`] corrects
    /// those of open requests. Late objects are removed before those of messages: if one of them
    /// remains, its limits include those of a late one.
    fn remove(&mut self, mut arrived: ObjectCount) -> bool {
        let before = arrived;
        self.open.take(&mut arrived);
        self.late.take(&mut arrived);
        self.messages.take(&mut arrived);
        arrived != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::{Block, BlockHash, GetData, NotFound, SendCmpct, Txid};

    fn after(expectations: &Expectations) -> (bool, bool) {
        let expected = expectations.expected();
        (expected.blocks, expected.transactions)
    }

    #[test]
    fn requests_are_expected_until_answered() {
        let mut expectations = Expectations::default();
        assert_eq!(after(&expectations), (false, false));
        let (block, tx) = (
            Inventory::Block(BlockHash::ZERO),
            Inventory::Tx(Txid([7; 32])),
        );
        expectations.on_sent(&GetData::from(vec![block, block, tx]).into());
        assert_eq!(after(&expectations), (true, true));
        let came = Block::genesis(&Network::Regtest).into();
        expectations.on_received(&came);
        assert_eq!(after(&expectations), (true, true));
        expectations.on_received(&NotFound::from(vec![tx]).into());
        assert_eq!(after(&expectations), (true, false));
        expectations.on_received(&came);
        expectations.on_received(&came);
        assert_eq!(after(&expectations), (false, false));
    }

    fn count(blocks: u64, transactions: u64) -> ObjectCount {
        ObjectCount {
            blocks,
            transactions,
        }
    }

    /// Returns a request for a transaction.
    fn getdata(number: u8) -> Message {
        GetData::from(vec![Inventory::Tx(Txid([number; 32]))]).into()
    }

    /// A peer that answers nothing, and receives requests all the time.
    #[test]
    fn unanswered_request_expires() {
        let mut expectations = Expectations::default();
        let start = Instant::now();
        expectations.on_sent(&getdata(7));
        expectations.on_clock(start);
        expectations.on_clock(start + PERIOD);
        assert_eq!(after(&expectations), (false, true), "one period is enough");
        expectations.on_sent(&getdata(8));
        expectations.on_received(&NotFound::from(vec![Inventory::Tx(Txid([8; 32]))]).into());
        expectations.on_clock(start + 2 * PERIOD - Duration::from_secs(1));
        expectations.on_clock(start + 2 * PERIOD);
        assert_eq!(after(&expectations), (false, false));
        assert_eq!(expectations.expected().objects, 0);
    }

    #[test]
    fn pause_extends_expectation() {
        let mut expectations = Expectations::default();
        let start = Instant::now();
        expectations.on_sent(&getdata(7));
        expectations.on_clock(start);
        expectations.on_reads_paused(3 * PERIOD);
        expectations.on_clock(start + 4 * PERIOD);
        assert_eq!(after(&expectations), (false, true));
        expectations.on_clock(start + 5 * PERIOD);
        assert_eq!(after(&expectations), (false, false));
    }

    #[test]
    fn open_request_is_expected_until_its_end() {
        let mut expectations = Expectations::default();
        let start = Instant::now();
        expectations.set_open(count(1, 3), count(0, 0));
        expectations.on_clock(start + 9 * PERIOD);
        assert_eq!(after(&expectations), (true, true));
        assert_eq!(expectations.expected().objects, 4);
        let block = Block::genesis(&Network::Regtest).into();
        assert!(expectations.on_received(&block));
        assert_eq!(after(&expectations), (false, true));
        // It answered no request.
        expectations.set_open(count(1, 3), count(0, 0));
        assert_eq!(after(&expectations), (true, true));
        expectations.set_open(count(0, 0), count(0, 0));
        assert_eq!(expectations.expected(), ExpectedPayloads::default());
        assert!(!expectations.on_received(&block));
    }

    #[test]
    fn late_objects_are_tolerated_until_arrival_or_expiry() {
        let mut expectations = Expectations::default();
        let start = Instant::now();
        expectations.set_open(count(0, 0), count(1, 2));
        let late = |blocks, transactions| ExpectedPayloads {
            late_blocks: blocks,
            late_transactions: transactions,
            ..ExpectedPayloads::default()
        };
        assert_eq!(expectations.expected(), late(1, 2));
        expectations.on_discarded(Command::new("block"), 2_000_000);
        assert_eq!(expectations.expected(), late(0, 2));
        expectations.on_discarded(Command::new("notfound"), 37);
        assert_eq!(expectations.expected(), late(0, 1));
        expectations.on_clock(start);
        expectations.on_clock(start + PERIOD);
        assert_eq!(expectations.expected(), late(0, 1));
        expectations.on_clock(start + 2 * PERIOD);
        assert_eq!(expectations.expected(), ExpectedPayloads::default());
    }

    /// Objects of messages are kept, so an arrival must not be taken for one of them while a late
    /// one may arrive.
    #[test]
    fn arrival_removes_late_object_first() {
        let mut expectations = Expectations::default();
        expectations.on_sent(&getdata(7));
        expectations.set_open(count(0, 0), count(0, 1));
        expectations.on_discarded(Command::new("tx"), 2_000_000);
        assert_eq!(after(&expectations), (false, true));
        assert_eq!(expectations.expected().late_transactions, 0);
    }

    #[test]
    fn end_marker_is_not_expected() {
        let mut expectations = Expectations::default();
        let mut marker = [7; 32];
        marker[24..].fill(0);
        let marker = vec![Inventory::Tx(Txid(marker))];
        expectations.on_sent(&GetData::from(marker.clone()).into());
        assert_eq!(after(&expectations), (false, false));
        expectations.on_sent(&getdata(8));
        assert!(!expectations.on_received(&NotFound::from(marker).into()));
        assert_eq!(after(&expectations), (false, true));
    }

    #[test]
    fn unsent_request_is_not_expected() {
        let mut expectations = Expectations::default();
        expectations.set_open(count(0, 1), count(0, 1));
        expectations.on_sent(&getdata(7));
        expectations.on_not_sent(&getdata(7));
        let expected = expectations.expected();
        assert_eq!((expected.objects, expected.late_transactions), (1, 1));
    }

    #[test]
    fn announced_compact_blocks_are_expected() {
        let mut expectations = Expectations::default();
        let request = |announce| {
            Message::from(SendCmpct {
                announce,
                version: 1,
            })
        };
        expectations.on_sent(&request(false));
        assert_eq!(after(&expectations), (false, false));
        expectations.on_sent(&request(true));
        assert_eq!(after(&expectations), (true, false));
    }
}
