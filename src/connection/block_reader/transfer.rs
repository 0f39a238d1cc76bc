//! State shared by both ends of a block transfer.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::session::DisconnectReason;
use crate::wire::FrameDropReason;

/// The progress and the end of a block transfer.
#[derive(Debug, Default)]
pub(super) struct TransferState {
    end: OnceLock<TransferEnd>,
    /// The number of reads by the caller.
    reads: AtomicU64,
}

/// The end of a transfer as seen by the connection.
#[derive(Clone, Debug)]
pub(super) enum TransferEnd {
    /// All bytes were received. Contains the result of the checksum.
    Complete(Result<(), FrameDropReason>),
    /// The connection was closed early.
    Cut(DisconnectReason),
}

impl TransferState {
    /// Records the end. Only the first call has an effect. Must be called before the queue is
    /// closed.
    pub(super) fn end(&self, end: TransferEnd) {
        let _ = self.end.set(end);
    }

    pub(super) fn ended(&self) -> Option<&TransferEnd> {
        self.end.get()
    }

    pub(super) fn count_read(&self) {
        self.reads.fetch_add(1, Relaxed);
    }

    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }
}
