//! Visitor for the parts of a block.

use bytes::Bytes;

use crate::wire::{BlockHeader, BlockScanner, DecodeError, ScanEvent, TransactionView, Tx, Txid};

/// A visitor of the parts of a block while it arrives. Every method does nothing by default.
///
/// [`BlockReader::visit`](super::BlockReader::visit) calls the methods in this order:
/// [`header`](Self::header), [`transaction_count`](Self::transaction_count), then for each
/// transaction either [`transaction`](Self::transaction), or [`piece`](Self::piece) for each part
/// of it and [`end`](Self::end). [`bytes`](Self::bytes) receives the wire form of all of them. The
/// block is verified only when `visit` returns `Ok`.
///
/// ```
/// # use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions};
/// # use bsv_p2p::{ConnectionConfig, Network};
/// use std::time::Duration;
///
/// use bsv_p2p::connection::BlockVisitor;
/// use bsv_p2p::local_node::LocalNode;
/// use bsv_p2p::wire::{TransactionView, Txid};
///
/// /// Collects the txids of a block.
/// struct Txids(Vec<Txid>);
///
/// impl BlockVisitor for Txids {
///     fn transaction(&mut self, _index: u64, txid: Txid, _transaction: TransactionView<'_>) {
///         self.0.push(txid);
///     }
///
///     fn end(&mut self, _index: u64, txid: Txid, _len: u64) {
///         self.0.push(txid);
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = LocalNode::start()?;
/// let hash = node.mine(1)?[0];
/// # let setup = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
/// # let events = setup.events.subscribe_control();
/// # let peer = PeerConnectionActor::spawn_outbound(node.address(), setup)?;
/// # assert!(events.iter().flatten().any(|event| event.name() == "HandshakeComplete"));
/// // `peer` is a `PeerConnectionHandle`.
/// let block = peer.block_reader(hash, Duration::from_secs(60))?;
/// let mut txids = Txids(Vec::new());
/// block.visit(&mut txids)?;
/// assert_eq!(txids.0.len(), 1); // the coinbase
/// # Ok(())
/// # }
/// ```
pub trait BlockVisitor {
    /// Called with each part of the block in its wire form, before the parts of its content.
    ///
    /// The parts are in order, of any length, and include the header. A visitor can write them to a
    /// file while the other methods receive the transactions.
    fn bytes(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// Called with the header of the block.
    fn header(&mut self, header: &BlockHeader) {
        let _ = header;
    }

    /// Called with the number of transactions that the block announces. It is not greater than its
    /// length allows.
    fn transaction_count(&mut self, count: u64) {
        let _ = count;
    }

    /// Called with a whole transaction and its index in the block, starting at 0.
    fn transaction(&mut self, index: u64, txid: Txid, transaction: TransactionView<'_>) {
        let _ = (index, txid, transaction);
    }

    /// Called with a part of a transaction that is not passed as a whole.
    ///
    /// `index` is the index of the transaction in the block, `at` the offset of the part in the
    /// transaction.
    fn piece(&mut self, index: u64, at: u64, piece: &[u8]) {
        let _ = (index, at, piece);
    }

    /// Called at the end of a transaction that was passed in pieces.
    ///
    /// `txid` is the hash of the transaction, `len` its length in bytes.
    fn end(&mut self, index: u64, txid: Txid, len: u64) {
        let _ = (index, txid, len);
    }
}

/// A visitor that ignores all parts.
pub(super) struct NullVisitor;

impl BlockVisitor for NullVisitor {}

/// Passes the parts that a scanner finds to a visitor.
#[derive(Debug)]
pub(super) struct VisitState {
    scanner: BlockScanner,
    /// The maximum length of a transaction that is buffered to be passed as a whole.
    whole_limit: usize,
    /// The buffered part of the current transaction, or `None` while it is passed in pieces.
    gathered: Option<Vec<u8>>,
}

impl VisitState {
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

    /// Scans the next bytes of the block and passes their parts to the visitor. Without a visitor,
    /// nothing is buffered.
    pub(super) fn visit_event(
        &mut self,
        mut bytes: &[u8],
        visitor: Option<&mut impl BlockVisitor>,
    ) -> Result<(), DecodeError> {
        let Some(visitor) = visitor else {
            while self.scanner.scan(&mut bytes)?.is_some() {}
            return Ok(());
        };
        visitor.bytes(bytes);
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
                    visit_piece(
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

fn visit_piece(
    gathered: &mut Option<Vec<u8>>,
    whole_limit: usize,
    (index, at, bytes, end): (u64, u64, &[u8], Option<(Txid, u64)>),
    visitor: &mut impl BlockVisitor,
) {
    if let Some(whole) = gathered {
        if whole.len() + bytes.len() <= whole_limit {
            whole.extend_from_slice(bytes);
            if let Some((txid, _)) = end {
                // Always succeeds, because the scanner has already decoded the transaction.
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
