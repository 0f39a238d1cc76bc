//! Sending end of a block transfer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, select};

use super::transfer::{TransferEnd, TransferState};
use crate::connection::waker::Waker;
use crate::deadline::saturating_add;
use crate::session::DisconnectReason;
use crate::wire::FrameDropReason;

/// The maximum time between two calls of `check`.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The sending end of a block transfer, owned by the connection.
///
/// Dropping it without [`complete`](Self::complete) or [`cut`](Self::cut) ends the transfer with
/// [`DisconnectReason::InternalError`].
#[derive(Debug)]
pub(in crate::connection) struct BlockSink {
    chunks: Sender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    transfer: Arc<TransferState>,
}

impl BlockSink {
    pub(super) fn new(
        chunks: Sender<Vec<u8>>,
        empty: Receiver<Vec<u8>>,
        transfer: Arc<TransferState>,
    ) -> Self {
        Self {
            chunks,
            empty,
            transfer,
        }
    }

    /// Returns a buffer for the next chunk. Reuses an emptied one if available.
    pub(in crate::connection) fn buffer(&self) -> Vec<u8> {
        self.empty.try_recv().unwrap_or_default()
    }

    /// Queues a chunk without blocking.
    ///
    /// # Errors
    ///
    /// [`DisconnectReason::BlockReaderAbandoned`] if the queue is full or its reader was dropped.
    pub(in crate::connection) fn try_push(&self, chunk: Vec<u8>) -> Result<(), DisconnectReason> {
        let sent = self.chunks.try_send(chunk);
        sent.map_err(|_| DisconnectReason::BlockReaderAbandoned)
    }

    /// Queues a chunk.
    ///
    /// Blocks while the queue is full. Calls `check` at each wake-up of `waker` and at least once a
    /// second, which returns the timeout in effect. Returns the start and end of the wait, or `None`
    /// if it did not wait.
    ///
    /// # Errors
    ///
    /// - [`DisconnectReason::BlockReaderAbandoned`] if nothing is read for the timeout, or the reader
    ///   was dropped
    /// - the error of `check`
    pub(in crate::connection) fn push(
        &self,
        chunk: Vec<u8>,
        waker: &Waker,
        check: impl Fn(Instant) -> Result<Duration, DisconnectReason>,
    ) -> Result<Option<(Instant, Instant)>, DisconnectReason> {
        let mut chunk = match self.chunks.try_send(chunk) {
            Ok(()) => return Ok(None),
            Err(TrySendError::Disconnected(_)) => {
                return Err(DisconnectReason::BlockReaderAbandoned);
            }
            Err(TrySendError::Full(chunk)) => chunk,
        };
        let from = Instant::now();
        let (mut reads, mut last_read) = (self.transfer.reads(), from);
        loop {
            let now = Instant::now();
            // A caller with small reads may take no chunk for a long time, but is not stalled.
            let reads_now = self.transfer.reads();
            if reads_now != reads {
                (reads, last_read) = (reads_now, now);
            }
            let deadline = saturating_add(last_read, check(now)?);
            if now >= deadline {
                return Err(DisconnectReason::BlockReaderAbandoned);
            }
            select! {
                send(self.chunks, std::mem::take(&mut chunk)) -> sent => {
                    let sent = sent.map_err(|_| DisconnectReason::BlockReaderAbandoned);
                    return sent.map(|()| Some((from, Instant::now())));
                }
                recv(waker.signal()) -> _ => {}
                default(deadline.saturating_duration_since(now).min(CHECK_INTERVAL)) => {}
            }
        }
    }

    /// Ends the transfer after the last chunk, with the result of the checksum.
    pub(in crate::connection) fn complete(self, checksum: Result<(), FrameDropReason>) {
        self.transfer.end(TransferEnd::Complete(checksum));
    }

    /// Ends the transfer because the connection has closed.
    pub(in crate::connection) fn abort(self, reason: DisconnectReason) {
        self.transfer.end(TransferEnd::Cut(reason));
    }
}

impl Drop for BlockSink {
    /// A transfer without an explicit end was ended by a panic.
    fn drop(&mut self) {
        self.transfer
            .end(TransferEnd::Cut(DisconnectReason::InternalError));
    }
}
