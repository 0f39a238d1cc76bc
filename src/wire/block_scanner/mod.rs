//! A block looked at while its bytes pass, in constant memory.

mod size;
#[cfg(test)]
mod tests;
mod walk;

use sha2::{Digest, Sha256};

use self::size::{PartialSize, need};
use self::walk::TransactionWalk;
use super::{
    Block, BlockError, BlockHeader, DecodeError, MerkleAccumulator, TransactionView, Txid, sha256d,
};

/// Takes a block's bytes in pieces of any size, and tells of its header and transactions.
///
/// It keeps no bytes but those of the header, hashes every transaction while its bytes pass, and has the merkle root at the
/// end. It fails just where [`Block::from_payload`] does, and as soon as a length turns out not to fit what is left of
/// the payload.
///
/// ```
/// use bsv_p2p::{Network, wire::{Block, BlockScanner, ScanEvent}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let block = Block::genesis(&Network::Mainnet);
/// let mut scanner = BlockScanner::new(block.bytes().len() as u64);
/// for mut piece in block.bytes().chunks(100) {
///     while let Some(scanned) = scanner.scan(&mut piece)? {
///         if let ScanEvent::Piece { end: Some(end), .. } = scanned {
///             println!("{} has {} bytes", end.txid, end.len);
///         }
///     }
/// }
/// assert!(scanner.is_complete());
/// scanner.check_merkle_root()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BlockScanner {
    /// How many bytes of the payload have not been given yet.
    left: u64,
    place: Place,
    tree: MerkleAccumulator,
    header: Option<BlockHeader>,
    failed: Option<DecodeError>,
}

#[derive(Clone, Debug)]
enum Place {
    Header {
        bytes: [u8; BlockHeader::LEN],
        len: usize,
    },
    Count(PartialSize),
    /// Before a transaction, with so many to come.
    Between(u64),
    /// In the middle of a transaction, with so many to come behind it.
    Inside(Box<Inside>, u64),
}

/// A transaction whose bytes do not come in one piece.
#[derive(Clone, Debug)]
struct Inside {
    walk: TransactionWalk,
    hasher: Sha256,
}

/// What a [`BlockScanner`] has come upon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScanEvent<'a> {
    /// The header is there.
    Header(BlockHeader),
    /// How many transactions follow.
    TransactionCount(u64),
    /// A transaction that lies whole in the bytes that were given.
    Transaction(Txid, TransactionView<'a>),
    /// A part of a transaction that does not.
    Piece {
        /// Where in its transaction the piece starts: 0 for the first.
        at: u64,
        /// The piece; not empty.
        bytes: &'a [u8],
        /// There if it is the last.
        end: Option<TransactionEnd>,
    },
}

/// The end of a transaction that came in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionEnd {
    /// The transaction's name.
    pub txid: Txid,
    /// How many bytes it has.
    pub len: u64,
}

impl BlockScanner {
    /// A scanner for a block whose payload has `len` bytes.
    pub fn new(len: u64) -> Self {
        Self {
            left: len,
            place: Place::Header {
                bytes: [0; BlockHeader::LEN],
                len: 0,
            },
            tree: MerkleAccumulator::new(),
            header: None,
            failed: None,
        }
    }

    /// The next thing in `bytes`, which moves behind it. `None` if more bytes are needed, or the block is complete: what is
    /// left of `bytes` then lies behind the last transaction and belongs to no block.
    ///
    /// Call it until it gives `None` before it gets the next bytes.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] if this is no block; every later call gives the same.
    #[inline]
    pub fn scan<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<ScanEvent<'a>>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // What is beyond the payload is not looked at.
        let len = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let mut rest = &bytes[..len];
        let scanned = self.advance(&mut rest);
        let used = len - rest.len();
        *bytes = &bytes[used..];
        self.left -= used as u64;
        scanned.inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Whether the last transaction has come.
    pub fn is_complete(&self) -> bool {
        matches!(self.place, Place::Between(0))
    }

    /// The header, once it has come.
    pub fn header(&self) -> Option<&BlockHeader> {
        self.header.as_ref()
    }

    /// How many transactions have come whole.
    pub fn transactions(&self) -> u64 {
        self.tree.len()
    }

    /// Checks that the transactions that have come are those which the header commits to. To be called at the end.
    ///
    /// # Errors
    ///
    /// [`BlockError::MerkleRootMismatch`] and [`BlockError::DuplicatedTransactions`].
    pub fn check_merkle_root(&self) -> Result<(), BlockError> {
        let expected = self.header.map(|header| header.merkle_root);
        BlockError::check(expected.unwrap_or_default(), self.tree.root())
    }

    #[inline]
    fn advance<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<ScanEvent<'a>>, DecodeError> {
        match &mut self.place {
            Place::Between(0) => Ok(None),
            Place::Between(left) => {
                let behind = *left - 1;
                self.begin_transaction(bytes, behind)
            }
            Place::Inside(inside, behind) => {
                if bytes.is_empty() {
                    return Ok(None);
                }
                let at = inside.walk.passed();
                let walked = inside.walk.over(bytes, self.left)?;
                let piece = take(bytes, walked.len);
                inside.hasher.update(piece);
                let mut end = None;
                if walked.ends {
                    let txid = Txid(Sha256::digest(inside.hasher.finalize_reset()).into());
                    let len = inside.walk.passed();
                    end = Some(TransactionEnd { txid, len });
                    self.tree.push(txid);
                    self.place = Place::Between(*behind);
                }
                let bytes = piece;
                Ok(Some(ScanEvent::Piece { at, bytes, end }))
            }
            Place::Header { bytes: header, len } => {
                need("block header", (header.len() - *len) as u64, self.left)?;
                let part = take(bytes, bytes.len().min(header.len() - *len));
                header[*len..*len + part.len()].copy_from_slice(part);
                *len += part.len();
                if *len < header.len() {
                    return Ok(None);
                }
                let header = BlockHeader::from_bytes(header);
                self.header = Some(header);
                self.place = Place::Count(PartialSize::default());
                Ok(Some(ScanEvent::Header(header)))
            }
            Place::Count(size) => {
                let before = bytes.len();
                let field = "transactions";
                let Some(count) = size.take(field, bytes, self.left)? else {
                    return Ok(None);
                };
                let left = self.left - (before - bytes.len()) as u64;
                // At most 2^32 of ten bytes each: no overflow in 64 bits.
                need(field, count * Block::MIN_TRANSACTION as u64, left)?;
                self.place = Place::Between(count);
                Ok(Some(ScanEvent::TransactionCount(count)))
            }
        }
    }

    #[inline]
    fn begin_transaction<'a>(
        &mut self,
        bytes: &mut &'a [u8],
        behind: u64,
    ) -> Result<Option<ScanEvent<'a>>, DecodeError> {
        let mut walk = TransactionWalk::begin(self.left)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let walked = walk.over(bytes, self.left)?;
        let piece = take(bytes, walked.len);
        if walked.ends {
            let txid = Txid(sha256d(piece).0);
            self.tree.push(txid);
            self.place = Place::Between(behind);
            let transaction = TransactionView::checked(piece, walk.outputs_at() as usize);
            return Ok(Some(ScanEvent::Transaction(txid, transaction)));
        }
        let hasher = Sha256::new_with_prefix(piece);
        self.place = Place::Inside(Box::new(Inside { walk, hasher }), behind);
        Ok(Some(ScanEvent::Piece {
            at: 0,
            bytes: piece,
            end: None,
        }))
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}
