//! Incremental delivery of blocks of any size.
//!
//! A bounded queue passes chunks from the connection to the caller. Emptied buffers are returned
//! for reuse. The connection runs on its own thread, or on that of the caller.

mod reader;
mod sink;
mod transfer;
mod visit;

pub use self::reader::BlockReader;
pub(super) use self::sink::BlockSink;
pub use self::visit::BlockVisitor;

use std::sync::Arc;

use crossbeam_channel::bounded;

use self::transfer::TransferState;
use crate::wire::BlockHeader;

/// The capacity of the queue, in chunks of 256 KiB.
const QUEUED_CHUNKS: usize = 8;

/// A connection that is read on the thread of the caller of a [`BlockReader`].
pub(super) trait BlockSource: Send {
    /// Receives more of the block and passes it to its sink. Blocks until data arrives, for about a
    /// second at most. If the connection is closed, the sink gets the reason.
    fn receive_more(&mut self);

    /// Closes the connection, because the rest of the block will not be read.
    fn abandon(&mut self);
}

/// Creates both ends of a block transfer. `abandon` is called if the reader is dropped before the
/// whole block has arrived.
pub(super) fn transfer(
    peer: String,
    header: BlockHeader,
    len: u64,
    abandon: impl FnOnce() + Send + Sync + 'static,
) -> (BlockSink, BlockReader<'static>) {
    let (chunks, taken) = bounded(QUEUED_CHUNKS);
    // Holds all buffers of a transfer: the queued ones, the one being read and the one being
    // filled.
    let (emptied, empty) = bounded(QUEUED_CHUNKS + 2);
    let transfer = Arc::new(TransferState::default());
    let sink = BlockSink::new(chunks, empty, transfer.clone());
    let reader = BlockReader::new(peer, (header, len), (taken, emptied), transfer, abandon);
    (sink, reader)
}
