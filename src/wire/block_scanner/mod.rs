//! Scans the bytes of a block as they arrive, in constant memory.

mod compact_size;
mod parser;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use self::compact_size::{CompactSizeParser, need};
use self::parser::TransactionParser;
use super::{
    Block, BlockError, BlockHeader, DecodeError, MerkleAccumulator, TransactionView, Txid, sha256d,
};

/// Parses a block from chunks of any size and returns its header and transactions.
///
/// The scanner stores only the header and constant state. It hashes every transaction while its
/// bytes pass, and computes the merkle root. It returns the same errors as [`Block::from_payload`],
/// as soon as a length does not fit into the rest of the payload.
///
/// A transaction is returned as [`ScanEvent::Transaction`] if one chunk contains all of it. Otherwise
/// it is returned as several [`ScanEvent::Piece`], of which the last has an `end`.
///
/// ```
/// use bsv_p2p::{Network, wire::{Block, BlockScanner, ScanEvent}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let block = Block::genesis(&Network::Mainnet);
/// let mut scanner = BlockScanner::new(block.bytes().len() as u64);
/// # let mut printed = 0;
/// for mut chunk in block.bytes().chunks(100) {
///     while let Some(scanned) = scanner.scan(&mut chunk)? {
///         let (txid, len) = match scanned {
///             // The chunk contains the whole transaction.
///             ScanEvent::Transaction(txid, transaction) => (txid, transaction.bytes().len() as u64),
///             // The chunk contains the last part of the transaction.
///             ScanEvent::Piece { end: Some(end), .. } => (end.txid, end.len),
///             ScanEvent::Piece { end: None, .. } => continue,
///             ScanEvent::Header(_) | ScanEvent::TransactionCount(_) => continue,
///         };
///         println!("{txid} has {len} bytes");
/// #         printed += 1;
///     }
/// }
/// # assert_eq!(printed, 1);
/// assert!(scanner.is_complete());
/// scanner.check_merkle_root()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BlockScanner {
    /// The number of payload bytes that have not been scanned.
    left: u64,
    state: ScanState,
    tree: MerkleAccumulator,
    header: Option<BlockHeader>,
    failed: Option<DecodeError>,
}

#[derive(Clone, Debug)]
enum ScanState {
    Header {
        bytes: [u8; BlockHeader::LEN],
        len: usize,
    },
    Count(CompactSizeParser),
    /// Before a transaction, or at the end. Contains the number of remaining transactions.
    BetweenTransactions(u64),
    /// Inside a transaction. Contains the number of transactions after it.
    InTransaction(Box<SplitTransaction>, u64),
}

/// A transaction that is split across chunks.
#[derive(Clone, Debug)]
struct SplitTransaction {
    parser: TransactionParser,
    hasher: Sha256,
}

/// A part of a block, returned by [`BlockScanner::scan`].
///
/// The structure of a block is fixed, so there are no other parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScanEvent<'a> {
    /// The block header.
    Header(BlockHeader),
    /// The number of transactions in the block.
    TransactionCount(u64),
    /// A transaction that the given bytes contain completely.
    Transaction(Txid, TransactionView<'a>),
    /// A part of a transaction that is split across chunks.
    Piece {
        /// The offset of the part in its transaction; 0 for the first part.
        at: u64,
        /// The bytes of the part; never empty.
        bytes: &'a [u8],
        /// `Some` if this is the last part.
        end: Option<TransactionEnd>,
    },
}

/// The end of a transaction that is split across chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionEnd {
    /// The ID of the transaction.
    pub txid: Txid,
    /// The length of the transaction in bytes.
    pub len: u64,
}

impl BlockScanner {
    /// Creates a scanner for a block whose payload has `len` bytes.
    pub fn new(len: u64) -> Self {
        Self {
            left: len,
            state: ScanState::Header {
                bytes: [0; BlockHeader::LEN],
                len: 0,
            },
            tree: MerkleAccumulator::new(),
            header: None,
            failed: None,
        }
    }

    /// Returns the next part of the block in `bytes` and advances `bytes` past it.
    ///
    /// Returns `None` if more bytes are needed or the block is complete. Bytes that remain after
    /// the last transaction are not part of the block. Must be called until it returns `None`
    /// before the next bytes are given. Does not block.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are not a valid block. Every later call returns the same error.
    #[inline]
    pub fn scan<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<ScanEvent<'a>>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // Bytes after the end of the payload are ignored.
        let len = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let mut rest = &bytes[..len];
        let scanned = self.advance(&mut rest);
        let used = len - rest.len();
        *bytes = &bytes[used..];
        self.left -= used as u64;
        scanned.inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Returns whether the last transaction has been scanned.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, ScanState::BetweenTransactions(0))
    }

    /// Returns the header, or `None` if it has not been scanned.
    pub fn header(&self) -> Option<&BlockHeader> {
        self.header.as_ref()
    }

    /// Returns the number of transactions that have been scanned completely.
    pub fn transactions(&self) -> u64 {
        self.tree.len()
    }

    /// Checks that the header commits to the scanned transactions. Must be called when the block is
    /// complete.
    ///
    /// # Errors
    ///
    /// - [`BlockError::MerkleRootMismatch`] if the merkle root differs from that of the header.
    /// - [`BlockError::DuplicatedTransactions`] if transactions are duplicated without an effect on
    ///   the merkle root.
    pub fn check_merkle_root(&self) -> Result<(), BlockError> {
        let expected = self.header.map(|header| header.merkle_root);
        BlockError::check(expected.unwrap_or_default(), self.tree.root())
    }

    #[inline]
    fn advance<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<ScanEvent<'a>>, DecodeError> {
        match &mut self.state {
            ScanState::BetweenTransactions(0) => Ok(None),
            ScanState::BetweenTransactions(left) => {
                let remaining = *left - 1;
                self.start_transaction(bytes, remaining)
            }
            ScanState::InTransaction(split, remaining) => {
                if bytes.is_empty() {
                    return Ok(None);
                }
                let at = split.parser.parsed_len();
                let step = split.parser.advance(bytes, self.left)?;
                let piece = split_front(bytes, step.len);
                split.hasher.update(piece);
                let mut end = None;
                if step.ends {
                    let txid = Txid(Sha256::digest(split.hasher.finalize_reset()).into());
                    let len = split.parser.parsed_len();
                    end = Some(TransactionEnd { txid, len });
                    self.tree.push(txid);
                    self.state = ScanState::BetweenTransactions(*remaining);
                }
                let bytes = piece;
                Ok(Some(ScanEvent::Piece { at, bytes, end }))
            }
            ScanState::Header { bytes: header, len } => {
                need("block header", (header.len() - *len) as u64, self.left)?;
                let part = split_front(bytes, bytes.len().min(header.len() - *len));
                header[*len..*len + part.len()].copy_from_slice(part);
                *len += part.len();
                if *len < header.len() {
                    return Ok(None);
                }
                let header = BlockHeader::from_bytes(header);
                self.header = Some(header);
                self.state = ScanState::Count(CompactSizeParser::default());
                Ok(Some(ScanEvent::Header(header)))
            }
            ScanState::Count(size) => {
                let before = bytes.len();
                let field = "transactions";
                let Some(count) = size.parse(field, bytes, self.left)? else {
                    return Ok(None);
                };
                let left = self.left - (before - bytes.len()) as u64;
                // At most 2^32 transactions of 10 bytes each: no overflow in 64 bits.
                need(field, count * Block::MIN_TRANSACTION as u64, left)?;
                self.state = ScanState::BetweenTransactions(count);
                Ok(Some(ScanEvent::TransactionCount(count)))
            }
        }
    }

    #[inline]
    fn start_transaction<'a>(
        &mut self,
        bytes: &mut &'a [u8],
        remaining: u64,
    ) -> Result<Option<ScanEvent<'a>>, DecodeError> {
        let mut parser = TransactionParser::start(self.left)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let step = parser.advance(bytes, self.left)?;
        let piece = split_front(bytes, step.len);
        if step.ends {
            let txid = Txid(sha256d(piece).0);
            self.tree.push(txid);
            self.state = ScanState::BetweenTransactions(remaining);
            let transaction = TransactionView::checked(piece, parser.outputs_at() as usize);
            return Ok(Some(ScanEvent::Transaction(txid, transaction)));
        }
        let hasher = Sha256::new_with_prefix(piece);
        self.state =
            ScanState::InTransaction(Box::new(SplitTransaction { parser, hasher }), remaining);
        Ok(Some(ScanEvent::Piece {
            at: 0,
            bytes: piece,
            end: None,
        }))
    }
}

fn split_front<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}
