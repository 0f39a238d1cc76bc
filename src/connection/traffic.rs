//! How much has gone each way.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts messages and bytes of one connection. Each number is exact; together they may be a moment apart.
#[derive(Debug, Default)]
pub(super) struct TrafficCounters {
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// How much has gone each way on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Traffic {
    /// Frames that have come whole, whatever became of them.
    pub messages_in: u64,
    /// Messages handed to the system or to the queue in front of it.
    pub messages_out: u64,
    /// Bytes that have come, headers included.
    pub bytes_in: u64,
    /// Bytes handed to the system, headers included.
    pub bytes_out: u64,
}

impl TrafficCounters {
    pub(super) fn add_message_in(&self) {
        self.messages_in.fetch_add(1, Relaxed);
    }

    pub(super) fn add_message_out(&self) {
        self.messages_out.fetch_add(1, Relaxed);
    }

    pub(super) fn add_bytes_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn add_bytes_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn snapshot(&self) -> Traffic {
        Traffic {
            messages_in: self.messages_in.load(Relaxed),
            messages_out: self.messages_out.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }
}
