//! Parses a block while its payload arrives.

use bytes::Bytes;

use super::tx_offsets::TxOffsetsBuilder;
use super::{Block, BlockHeader};
use crate::wire::{Decode, DecodeError, Reader, TransactionView};

/// The minimum mean length in bytes of transactions that are parsed before the payload is complete.
///
/// Smaller ones are invalid. Their index would need almost as much memory as the received bytes.
const MIN_MEAN_LEN: usize = 60;

/// Finds the transactions of a block in the received part of its payload.
///
/// Received bytes are still in the cache of the processor. Parsing a whole block later reads it
/// from main memory.
#[derive(Debug)]
pub(crate) struct BlockParser {
    /// The offset of the first transaction that has not been parsed. 0 until the number of
    /// transactions has been parsed.
    next_at: usize,
    /// The number of transactions that have not been parsed.
    left: usize,
    /// The number of received bytes from which parsing continues.
    retry_at: usize,
    tx_offsets: TxOffsetsBuilder,
}

impl BlockParser {
    pub(in crate::wire) fn new() -> Self {
        Self {
            next_at: 0,
            left: 0,
            retry_at: 0,
            tx_offsets: TxOffsetsBuilder::new(0),
        }
    }

    /// Parses complete transactions in `received`, the first bytes of the payload.
    ///
    /// The index grows by doubling, to at most 16 bytes per 60 received bytes. Errors are left to
    /// [`BlockParser::finish`], because here they cannot be distinguished from missing bytes.
    pub(in crate::wire) fn advance(&mut self, received: &[u8]) {
        if received.len() < self.retry_at {
            return;
        }
        let mut reader = Reader::new(&received[self.next_at..]);
        if self.next_at == 0
            && BlockHeader::decode(&mut reader).is_ok()
            && let Ok(count) = reader.compact_size("transactions")
        {
            self.next_at = received.len() - reader.remaining().len();
            self.left = usize::try_from(count).unwrap_or(usize::MAX);
        }
        while self.left > 0
            && self.tx_offsets.len() < received.len() / MIN_MEAN_LEN
            && let Ok(transaction) = TransactionView::read(&mut reader)
        {
            self.push(transaction);
        }
        // An incomplete transaction is parsed again once twice as many of its bytes have arrived.
        // The total cost is therefore linear in its length.
        self.retry_at = received.len() + (received.len() - self.next_at);
    }

    /// Parses the rest of the complete payload and returns the block.
    ///
    /// # Errors
    ///
    /// Those of [`Block::from_payload`].
    pub(crate) fn finish(self, payload: &Bytes) -> Result<Block, DecodeError> {
        self.finish_at(&mut Reader::from_shared(payload))
    }

    pub(super) fn finish_at(mut self, reader: &mut Reader<'_>) -> Result<Block, DecodeError> {
        let start = reader.clone();
        BlockHeader::decode(reader)?;
        let transaction_count = reader.count("transactions", Block::MIN_TRANSACTION)?;
        let transactions_at = start.remaining().len() - reader.remaining().len();
        if self.next_at == 0 {
            self.next_at = transactions_at;
            self.left = transaction_count;
        }
        reader.read_bytes("transactions", self.next_at - transactions_at)?;
        self.tx_offsets.reserve(self.left);
        while self.left > 0 {
            self.push(TransactionView::read(reader)?);
        }
        Ok(Block {
            payload: reader.shared_since(&start),
            transaction_count,
            transactions_at,
            tx_offsets: self.tx_offsets.done(),
        })
    }

    #[inline]
    fn push(&mut self, transaction: TransactionView<'_>) {
        let len = transaction.bytes().len();
        self.next_at += len;
        self.left -= 1;
        self.tx_offsets.push(len, transaction.outputs_at());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use crate::wire::{Transaction, TransactionOutput};

    fn block_of(transaction: &Transaction, count: usize) -> Bytes {
        let header = BlockHeader::genesis(&Network::Regtest);
        let transactions = vec![transaction.clone(); count];
        Block::new(&header, &transactions).bytes().clone()
    }

    #[test]
    fn transactions_are_parsed_before_payload_is_complete() {
        let output = TransactionOutput {
            value: 1,
            script: vec![0; 100],
        };
        let transaction = Transaction {
            outputs: vec![output],
            ..Transaction::default()
        };
        let payload = block_of(&transaction, 1_000);
        let mut parser = BlockParser::new();
        parser.advance(&payload[..payload.len() - 1]);
        assert_eq!((parser.tx_offsets.len(), parser.left), (999, 1));
        parser.advance(&payload);
        let block = parser.finish(&payload).unwrap();
        assert_eq!(block.transaction_count(), 1_000);
    }

    #[test]
    fn attempts_at_large_transaction_are_logarithmic() {
        let output = TransactionOutput {
            value: 1,
            script: Vec::new(),
        };
        let transaction = Transaction {
            outputs: vec![output; 100_000],
            ..Transaction::default()
        };
        let payload = block_of(&transaction, 1);
        let mut parser = BlockParser::new();
        let mut attempts = 0;
        for received in 0..payload.len() {
            let before = parser.retry_at;
            parser.advance(&payload[..received]);
            attempts += usize::from(parser.retry_at != before);
        }
        assert!(attempts < 30, "{attempts}");
        assert_eq!(parser.finish(&payload).unwrap().transaction_count(), 1);
    }

    #[test]
    fn index_of_tiny_transactions_stays_small_while_they_arrive() {
        let payload = block_of(&Transaction::default(), 10_000);
        let mut parser = BlockParser::new();
        for received in (0..=payload.len()).step_by(1_000) {
            parser.advance(&payload[..received]);
            assert!(parser.tx_offsets.len() <= received / MIN_MEAN_LEN);
        }
        assert_eq!(parser.finish(&payload).unwrap().transaction_count(), 10_000);
    }
}
