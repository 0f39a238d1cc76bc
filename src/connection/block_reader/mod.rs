//! Blocks of any size, read while they arrive.
//!
//! The connection's thread fills a bounded queue of pieces, the program takes them in its own thread; emptied buffers go back.

mod reader;
mod sink;
mod transfer;
mod visit;

pub use self::reader::BlockReader;
pub(super) use self::sink::BlockSink;
pub use self::visit::BlockVisitor;

use std::sync::Arc;

use crossbeam_channel::bounded;

use self::transfer::Transfer;
use crate::wire::BlockHeader;

/// How many pieces of 256 KiB may wait for the program.
const QUEUED_CHUNKS: usize = 8;

/// A connection that is read on the thread of the caller of a [`BlockReader`].
pub(super) trait BlockSource: Send {
    /// Receives more of the block and passes it to its sink. Blocks until data arrives, for about a
    /// second at most. If the connection is closed, the sink gets the reason.
    fn receive_more(&mut self);

    /// Closes the connection, because the rest of the block will not be read.
    fn abandon(&mut self);
}

/// Both ends of the transfer of a block. `abandon` is called if the program gives up before the block has come whole.
pub(super) fn transfer(
    peer: String,
    header: BlockHeader,
    len: u64,
    abandon: impl FnOnce() + Send + Sync + 'static,
) -> (BlockSink, BlockReader<'static>) {
    let (chunks, taken) = bounded(QUEUED_CHUNKS);
    // Never fuller than there are buffers: those that wait, the one being read and the one being filled.
    let (emptied, empty) = bounded(QUEUED_CHUNKS + 2);
    let transfer = Arc::new(Transfer::default());
    let sink = BlockSink::new(chunks, empty, transfer.clone());
    let reader = BlockReader::new(peer, (header, len), (taken, emptied), transfer, abandon);
    (sink, reader)
}
