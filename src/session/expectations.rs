//! Counts requested objects, which determine the limits of large payloads.

use crate::wire::{Command, ExpectedPayloads, Inventory, Message};

/// The number of requested objects that have not arrived.
///
/// A request without an answer stays counted: the peer may then also send unrequested objects up to
/// the limits for requested ones.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    blocks: u64,
    transactions: u64,
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
        match message {
            Message::GetData(request) => {
                for entry in &request.inventory {
                    let count = self.count_of(entry);
                    *count = count.saturating_add(1);
                }
            }
            Message::GetBlockTxn(_) | Message::GetHdrsEn(_) => {
                self.blocks = self.blocks.saturating_add(1);
            }
            Message::SendCmpct(request) => self.announced_blocks |= request.announce,
            Message::SendHdrsEn => self.announced_blocks = true,
            Message::CompactBlock(_) => self.compact_block_sent = true,
            _ => {}
        }
    }

    /// Handles a message of the peer. Returns whether it may be an answer to a request.
    pub(super) fn on_received(&mut self, message: &Message) -> bool {
        let before = self.blocks.saturating_add(self.transactions);
        match message {
            Message::Block(_)
            | Message::CompactBlock(_)
            | Message::BlockTransactions(_)
            | Message::HdrsEn(_)
            | Message::MerkleBlock(_) => self.on_block(),
            Message::Tx(_) | Message::DatarefTx(_) => {
                self.transactions = self.transactions.saturating_sub(1);
            }
            Message::NotFound(missing) => {
                for entry in &missing.inventory {
                    let count = self.count_of(entry);
                    *count = count.saturating_sub(1);
                }
            }
            _ => {}
        }
        self.blocks.saturating_add(self.transactions) < before
    }

    /// Records the arrival of a block in any form.
    pub(super) fn on_block(&mut self) {
        self.blocks = self.blocks.saturating_sub(1);
    }

    /// Handles a payload that was discarded while it arrived.
    pub(super) fn on_discarded(&mut self, command: Command, len: u64) {
        match command.name() {
            "block" | "cmpctblock" | "blocktxn" | "hdrsen" | "merkleblock" => self.on_block(),
            "tx" | "datareftx" => self.transactions = self.transactions.saturating_sub(1),
            "notfound" => {
                // The content is unknown. Most requests for many objects are for transactions.
                let count = len / Inventory::LEN as u64;
                let blocks = count.saturating_sub(self.transactions);
                self.transactions = self.transactions.saturating_sub(count);
                self.blocks = self.blocks.saturating_sub(blocks);
            }
            _ => {}
        }
    }

    pub(super) fn expected(&self) -> ExpectedPayloads {
        ExpectedPayloads {
            blocks: self.announced_blocks || self.blocks > 0,
            transactions: self.transactions > 0,
            compact_block_sent: self.compact_block_sent,
            objects: self.blocks.saturating_add(self.transactions),
        }
    }

    /// Returns the counter of an entry. All objects other than transactions are answered with some
    /// form of a block, if at all.
    fn count_of(&mut self, entry: &Inventory) -> &mut u64 {
        match entry {
            Inventory::Tx(_) | Inventory::DatarefTx(_) => &mut self.transactions,
            _ => &mut self.blocks,
        }
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
