//! Going through a block whose transactions do not fit into memory, or need not be there.

use bytes::Bytes;

use crate::wire::{BlockHeader, BlockScanner, DecodeError, ScanEvent, TransactionView, Tx, Txid};

/// Who is shown a block while it arrives. Every method does nothing unless it is written.
///
/// The order: the header, the number of transactions, then each transaction, either whole or in pieces.
pub trait BlockVisitor {
    /// The header.
    fn header(&mut self, header: &BlockHeader) {
        let _ = header;
    }

    /// How many transactions follow, as the block says. Not more than its length can hold.
    fn transaction_count(&mut self, count: u64) {
        let _ = count;
    }

    /// A whole transaction, with its place in the block from 0.
    fn transaction(&mut self, index: u64, txid: Txid, transaction: TransactionView<'_>) {
        let _ = (index, txid, transaction);
    }

    /// A part of a transaction that is longer than what is shown whole: `at` tells where in the transaction it starts.
    fn piece(&mut self, index: u64, at: u64, piece: &[u8]) {
        let _ = (index, at, piece);
    }

    /// The end of a transaction that came in pieces: its name, and its length in bytes.
    fn end(&mut self, index: u64, txid: Txid, len: u64) {
        let _ = (index, txid, len);
    }
}

/// A visitor for those who want only the checks.
pub(super) struct Nobody;

impl BlockVisitor for Nobody {}

/// Shows what a scanner finds.
#[derive(Debug)]
pub(super) struct Guide {
    scanner: BlockScanner,
    /// The longest transaction that is shown whole though it came in pieces.
    whole_limit: usize,
    /// What has come of such a transaction; `None` while one is shown in pieces.
    gathered: Option<Vec<u8>>,
}

impl Guide {
    pub(super) fn new(len: u64, whole_limit: usize) -> Self {
        Self {
            scanner: BlockScanner::new(len),
            whole_limit,
            gathered: Some(Vec::new()),
        }
    }

    pub(super) fn set_whole_limit(&mut self, limit: usize) {
        self.whole_limit = limit;
    }

    pub(super) fn scanner(&self) -> &BlockScanner {
        &self.scanner
    }

    /// Shows what the next bytes of the block hold. With nobody to look, nothing is gathered.
    pub(super) fn show(
        &mut self,
        mut bytes: &[u8],
        visitor: Option<&mut impl BlockVisitor>,
    ) -> Result<(), DecodeError> {
        let Some(visitor) = visitor else {
            while self.scanner.scan(&mut bytes)?.is_some() {}
            return Ok(());
        };
        loop {
            let index = self.scanner.transactions();
            match self.scanner.scan(&mut bytes)? {
                None => return Ok(()),
                Some(ScanEvent::Header(header)) => visitor.header(&header),
                Some(ScanEvent::TransactionCount(count)) => visitor.transaction_count(count),
                Some(ScanEvent::Transaction(txid, transaction)) => {
                    visitor.transaction(index, txid, transaction);
                }
                Some(ScanEvent::Piece { at, bytes, end }) => {
                    let end = end.map(|end| (end.txid, end.len));
                    show_piece(
                        &mut self.gathered,
                        self.whole_limit,
                        (index, at, bytes, end),
                        visitor,
                    );
                }
            }
        }
    }
}

fn show_piece(
    gathered: &mut Option<Vec<u8>>,
    whole_limit: usize,
    (index, at, bytes, end): (u64, u64, &[u8], Option<(Txid, u64)>),
    visitor: &mut impl BlockVisitor,
) {
    if let Some(whole) = gathered {
        if whole.len() + bytes.len() <= whole_limit {
            whole.extend_from_slice(bytes);
            if let Some((txid, _)) = end {
                // The scanner has checked it.
                if let Ok(tx) = Tx::from_payload(Bytes::from(std::mem::take(whole))) {
                    visitor.transaction(index, txid, tx.view());
                }
            }
            return;
        }
        if !whole.is_empty() {
            visitor.piece(index, 0, whole);
        }
        *gathered = None;
    }
    visitor.piece(index, at, bytes);
    if let Some((txid, len)) = end {
        visitor.end(index, txid, len);
        *gathered = Some(Vec::new());
    }
}
