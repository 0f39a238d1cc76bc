//! Blocks that stay where they arrived.

use std::fmt;

use bytes::Bytes;

use super::{
    BlockHash, BlockHeader, Decode, DecodeError, Encode, MerkleRoot, Reader, Transaction,
    TransactionView, merkle_root, write_compact_size,
};
use crate::network::Network;

/// A block, kept as the one buffer in which it arrived.
///
/// The buffer is checked once, when the block is made: every transaction in it is whole. Header and
/// transactions are views that borrow from it, and a clone shares it.
///
/// ```
/// use bsv_p2p::{Network, wire::Block};
///
/// let block = Block::genesis(Network::Mainnet);
/// assert_eq!(block.transaction_count(), 1);
/// for transaction in block.transactions() {
///     println!("{} pays {} outputs", transaction.txid(), transaction.outputs().len());
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    payload: Bytes,
    header: BlockHeader,
    transaction_count: usize,
    /// Where the first transaction starts.
    transactions_at: usize,
}

/// What makes a block's content not that which its header commits to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The transactions have another merkle root than the header says.
    #[error("the transactions' merkle root is {got}, the header says {expected}")]
    MerkleRootMismatch {
        /// What the header says.
        expected: MerkleRoot,
        /// What the transactions have.
        got: MerkleRoot,
    },
    /// A run of transactions stands twice in a way that leaves the root as it is (CVE-2012-2459).
    #[error("transactions are repeated so that the merkle root {0} stays the same")]
    DuplicatedTransactions(MerkleRoot),
}

impl BlockError {
    /// Compares what the header says with what [`merkle_root`] has found.
    pub(in crate::wire) fn check(
        expected: MerkleRoot,
        (got, mutated): (MerkleRoot, bool),
    ) -> Result<(), Self> {
        if got != expected {
            return Err(BlockError::MerkleRootMismatch { expected, got });
        }
        if mutated {
            return Err(BlockError::DuplicatedTransactions(got));
        }
        Ok(())
    }
}

impl Block {
    /// The least bytes of a transaction.
    pub(in crate::wire) const MIN_TRANSACTION: usize = 10;

    /// Puts a block together.
    pub fn new(header: &BlockHeader, transactions: &[Transaction]) -> Self {
        let mut payload = Vec::new();
        header.encode(&mut payload);
        write_compact_size(transactions.len() as u64, &mut payload);
        let transactions_at = payload.len();
        for transaction in transactions {
            transaction.encode(&mut payload);
        }
        Self {
            payload: payload.into(),
            header: *header,
            transaction_count: transactions.len(),
            transactions_at,
        }
    }

    /// Puts a block together from `count` transactions in their wire form, which have been checked before and
    /// have `len` bytes in all.
    pub(in crate::wire) fn of_checked<'a>(
        header: &BlockHeader,
        count: usize,
        len: usize,
        transactions: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut payload = Vec::with_capacity(BlockHeader::LEN + 5 + len);
        header.encode(&mut payload);
        write_compact_size(count as u64, &mut payload);
        let transactions_at = payload.len();
        transactions.for_each(|transaction| payload.extend_from_slice(transaction));
        Self {
            payload: payload.into(),
            header: *header,
            transaction_count: count,
            transactions_at,
        }
    }

    /// The first block of `network`.
    pub fn genesis(network: Network) -> Self {
        let mut payload = network.genesis_header().to_vec();
        payload.push(1);
        payload.extend_from_slice(Network::genesis_transaction());
        Self {
            payload: payload.into(),
            header: BlockHeader::genesis(network),
            transaction_count: 1,
            transactions_at: BlockHeader::LEN + 1,
        }
    }

    /// Takes a payload as a block. Bytes behind the last transaction are dropped, as the node does.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] if a transaction is not whole.
    pub fn from_payload(payload: Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::shared(&payload))
    }

    /// The same block in a buffer of its own, for keeping: the payload in which a block arrived may be
    /// longer than the block, and counts as its connection's memory for as long as anything shares it.
    pub fn detached(&self) -> Self {
        Self {
            payload: Bytes::copy_from_slice(&self.payload),
            ..*self
        }
    }

    /// The whole block in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// The header.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// The block's name: the hash of its header.
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// How many transactions there are.
    pub fn transaction_count(&self) -> usize {
        self.transaction_count
    }

    /// The transactions, in order.
    pub fn transactions(&self) -> Transactions<'_> {
        Transactions::checked(
            &self.payload[self.transactions_at..],
            self.transaction_count,
        )
    }

    /// Checks that the transactions are those which the header commits to. Hashes every transaction.
    ///
    /// # Errors
    ///
    /// [`BlockError::MerkleRootMismatch`] and [`BlockError::DuplicatedTransactions`].
    pub fn check_merkle_root(&self) -> Result<(), BlockError> {
        let found = merkle_root(self.transactions().map(|transaction| transaction.txid()));
        BlockError::check(self.header.merkle_root, found)
    }
}

impl Decode for Block {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let header = BlockHeader::decode(reader)?;
        let transaction_count = reader.count("transactions", Self::MIN_TRANSACTION)?;
        let transactions_at = start.rest().len() - reader.rest().len();
        for _ in 0..transaction_count {
            TransactionView::read(reader)?;
        }
        Ok(Self {
            payload: reader.keep_since(&start),
            header,
            transaction_count,
            transactions_at,
        })
    }
}

impl Encode for Block {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.payload);
    }

    fn encoded_len(&self) -> u64 {
        self.payload.len() as u64
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("hash", &self.hash())
            .field("bytes", &self.payload.len())
            .field("transactions", &self.transaction_count)
            .finish()
    }
}

/// The transactions of a block or a `blocktxn`, in order. Made by [`Block::transactions`] and
/// [`BlockTransactions::transactions`](super::BlockTransactions::transactions).
#[derive(Clone, Debug)]
pub struct Transactions<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Transactions<'a> {
    /// So many transactions at the start of `bytes`, which have been checked before.
    pub(in crate::wire) fn checked(bytes: &'a [u8], count: usize) -> Self {
        Self {
            reader: Reader::new(bytes),
            left: count,
        }
    }
}

impl<'a> Iterator for Transactions<'a> {
    type Item = TransactionView<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // The bytes were checked when the message was made: this cannot fail.
        TransactionView::read(&mut self.reader).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Transactions<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_becomes_a_block_without_a_copy() {
        let payload = Block::genesis(Network::Regtest).bytes().clone();
        let block = Block::from_payload(payload.clone()).unwrap();
        assert_eq!(block.bytes().as_ptr(), payload.as_ptr());
        assert_eq!(block, Block::genesis(Network::Regtest));
        assert_eq!(block.check_merkle_root(), Ok(()));
    }

    #[test]
    fn a_detached_block_is_the_same_in_another_buffer() {
        let block = Block::genesis(Network::Regtest);
        let detached = block.detached();
        assert_eq!(detached, block);
        assert_ne!(detached.bytes().as_ptr(), block.bytes().as_ptr());
    }

    #[test]
    fn bytes_behind_the_last_transaction_are_dropped() {
        let whole = Block::genesis(Network::Regtest);
        let mut longer = whole.bytes().to_vec();
        longer.extend_from_slice(b"more");
        assert_eq!(Block::from_payload(longer.into()), Ok(whole));
    }

    #[test]
    fn a_block_that_claims_a_billion_transactions_costs_nothing() {
        let mut payload = Network::Regtest.genesis_header().to_vec();
        payload.extend_from_slice(&[0xfe, 0x00, 0xca, 0x9a, 0x3b]);
        assert_eq!(
            Block::from_payload(payload.into()),
            Err(DecodeError::Truncated {
                field: "transactions",
                needed: 10_000_000_000,
                left: 0
            })
        );
    }

    #[test]
    fn a_block_with_other_transactions_or_repeated_ones_is_noticed() {
        let header = BlockHeader::genesis(Network::Regtest);
        let genesis = Transaction::decode_from(Network::genesis_transaction()).unwrap();
        let other = Transaction {
            version: 9,
            ..genesis.clone()
        };
        assert!(matches!(
            Block::new(&header, std::slice::from_ref(&other)).check_merkle_root(),
            Err(BlockError::MerkleRootMismatch { .. })
        ));

        let three = [genesis.clone(), other.clone(), genesis.clone()];
        let (root, _) = merkle_root(three.iter().map(Transaction::txid));
        let header = BlockHeader {
            merkle_root: root,
            ..header
        };
        assert_eq!(Block::new(&header, &three).check_merkle_root(), Ok(()));
        let four = [genesis.clone(), other, genesis.clone(), genesis];
        assert_eq!(
            Block::new(&header, &four).check_merkle_root(),
            Err(BlockError::DuplicatedTransactions(root))
        );
    }
}
