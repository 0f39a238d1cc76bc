//! What both ends of a transfer share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::session::DisconnectReason;
use crate::wire::FrameDropReason;

/// The progress of a transfer, and its end.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    end: OnceLock<TransferEnd>,
    /// How many times the program has taken something.
    reads: AtomicU64,
}

/// How a transfer ended, as the connection saw it.
#[derive(Clone, Debug)]
pub(super) enum TransferEnd {
    /// All bytes have come; whether they have the checksum that their frame says.
    Complete(Result<(), FrameDropReason>),
    /// The connection has ended before.
    Cut(DisconnectReason),
}

impl Transfer {
    /// The first end counts. To be called before the queue is closed.
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
