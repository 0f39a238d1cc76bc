//! Receiving end of a block transfer.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::BlockSource;
use super::transfer::{TransferEnd, TransferState};
use super::visit::{BlockVisitor, NullVisitor, VisitState};
use crate::error::{Error, InvalidBlock};
use crate::session::DisconnectReason;
use crate::wire::{BlockHash, BlockHeader, DecodeError};

/// The default length up to which [`BlockReader::visit`] passes transactions as a whole.
const WHOLE_LIMIT: usize = 1024 * 1024;

/// A reader of a block of any size, which delivers the block while it arrives.
///
/// [`PeerConnectionHandle::block_reader`](crate::connection::PeerConnectionHandle::block_reader)
/// returns a `BlockReader<'static>`, whose connection fills it on its own thread.
/// [`Connection::block_reader`](crate::Connection::block_reader) returns one that borrows the
/// connection and receives the block on the caller's thread. The reader yields the bytes of the
/// block, from the header to the last transaction. It uses at most about 3 MiB of memory, whatever
/// the size of the block.
///
/// **The block is verified only when the last read returns 0.** That read fails instead if the
/// checksum, the structure or the merkle root is invalid. The bytes read before it must not be
/// trusted until then.
///
/// The peer is read only as fast as the caller reads. The connection is closed with
/// [`BlockReaderAbandoned`](DisconnectReason::BlockReaderAbandoned) if the reader is dropped before
/// the whole block has arrived, because the protocol has no way to cancel a transfer. The
/// connection of a handle is also closed if the caller reads nothing for
/// [`block_reader_timeout`](crate::ConnectionConfig::block_reader_timeout).
///
/// The reader has its own buffer and implements [`BufRead`]. Wrapping it in a
/// [`BufReader`](std::io::BufReader) only adds a copy.
///
/// A read blocks until data arrives. A peer that sends too slowly is disconnected, as documented at
/// [`read_stall_timeout`](crate::ConnectionConfig::read_stall_timeout). The read then fails with an
/// [`io::Error`] that contains the [`Error`].
///
/// ```
/// # use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions};
/// # use bsv_p2p::{ConnectionConfig, Network};
/// use std::time::Duration;
///
/// use bsv_p2p::local_node::LocalNode;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let node = LocalNode::start()?;
/// let hash = node.mine(1)?[0];
/// # let setup = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
/// # let events = setup.events.subscribe_control();
/// # let peer = PeerConnectionActor::spawn_outbound(node.address(), setup)?;
/// # assert!(events.iter().flatten().any(|event| event.name() == "HandshakeComplete"));
/// // `peer` is a `PeerConnectionHandle`.
/// let mut block = peer.block_reader(hash, Duration::from_secs(60))?;
/// println!("receiving {} bytes", block.len());
/// let mut file = std::io::sink(); // for example a `std::fs::File`
/// let copied = std::io::copy(&mut block, &mut file)?; // fails if the block is invalid
/// assert_eq!(copied, block.len());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping the reader closes the connection"]
pub struct BlockReader<'a> {
    peer: String,
    header: BlockHeader,
    len: u64,
    chunks: Receiver<Vec<u8>>,
    emptied: Sender<Vec<u8>>,
    transfer: Arc<TransferState>,
    /// Called if the reader is dropped early. `None` once the transfer has ended.
    abandon: Option<Box<dyn FnOnce() + Send + Sync>>,
    /// The connection that is read on the caller's thread, unless it has its own thread.
    source: Option<&'a mut (dyn BlockSource + 'static)>,
    guide: VisitState,
    /// The first decoding error.
    broken: Option<DecodeError>,
    /// The number of bytes taken out of the queue.
    arrived: u64,
    /// The chunk that is being read. `at` is the number of its bytes that were read.
    chunk: Vec<u8>,
    at: usize,
    begun: bool,
    end: Option<Result<(), Error>>,
}

impl<'a> BlockReader<'a> {
    pub(super) fn new(
        peer: String,
        (header, len): (BlockHeader, u64),
        (chunks, emptied): (Receiver<Vec<u8>>, Sender<Vec<u8>>),
        transfer: Arc<TransferState>,
        abandon: impl FnOnce() + Send + Sync + 'static,
    ) -> Self {
        Self {
            peer,
            header,
            len,
            chunks,
            emptied,
            transfer,
            abandon: Some(Box::new(abandon)),
            source: None,
            guide: VisitState::new(len, WHOLE_LIMIT),
            broken: None,
            arrived: 0,
            chunk: Vec::new(),
            at: 0,
            begun: false,
            end: None,
        }
    }

    /// Receives the block from `source` when the queue is empty.
    pub(in crate::connection) fn with_source(
        mut self,
        source: &'a mut (dyn BlockSource + 'static),
    ) -> Self {
        self.source = Some(source);
        self
    }

    /// Returns the header of the block. Its hash is the requested one.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// Returns the hash of the block.
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// Returns the length of the block in bytes, as announced by the peer.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns `false`: a block always has a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Sets the length up to which [`BlockReader::visit`] always passes transactions as a whole, in
    /// bytes. Defaults to 1 MiB.
    ///
    /// A transaction that arrives in several buffers is copied for that. Longer transactions are
    /// passed whole if they lie within one buffer of 256 KiB, and in pieces otherwise.
    pub fn max_buffered_transaction(mut self, bytes: usize) -> Self {
        self.guide.set_whole_limit(bytes);
        self
    }

    /// Passes the block to `visitor` while it arrives.
    ///
    /// Blocks until the end of the block. The visitor may see parts of an invalid block before an
    /// error is returned. It must not trust them until this method returns `Ok`.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidBlock`] if the received data is not the requested block.
    /// - [`Error::Disconnected`] if the connection closes before the end of the block.
    /// - [`Error::BlockAlreadyRead`] if data has been read from the block before.
    pub fn visit(mut self, visitor: &mut impl BlockVisitor) -> Result<(), Error> {
        if self.begun {
            let peer = self.peer.clone();
            return Err(Error::BlockAlreadyRead { peer });
        }
        while self.next_chunk(Some(visitor)) {}
        self.finish()
    }

    /// Takes the next chunk out of the queue and scans it. Returns `false` at the end of the
    /// transfer.
    fn next_chunk(&mut self, visitor: Option<&mut impl BlockVisitor>) -> bool {
        self.begun = true;
        let emptied = std::mem::take(&mut self.chunk);
        if emptied.capacity() > 0 {
            // If the queue is full, the sink has enough buffers, and this one is dropped.
            let _ = self.emptied.try_send(emptied);
        }
        self.at = 0;
        let Some(chunk) = self.receive_chunk() else {
            return false;
        };
        self.transfer.count_read();
        self.arrived += chunk.len() as u64;
        if self.broken.is_none()
            && let Err(error) = self.guide.visit_event(&chunk, visitor)
        {
            self.broken = Some(error);
        }
        self.chunk = chunk;
        true
    }

    /// Returns the next chunk, or `None` after the last one. Blocks until either is known.
    fn receive_chunk(&mut self) -> Option<Vec<u8>> {
        let Some(source) = &mut self.source else {
            return self.chunks.recv().ok();
        };
        loop {
            match self.chunks.try_recv() {
                Ok(chunk) => return Some(chunk),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => source.receive_more(),
            }
        }
    }

    /// Takes the next chunk if the current one was read, unless the block has ended.
    fn fill(&mut self) -> io::Result<()> {
        while self.at == self.chunk.len() {
            if self.end.is_some() || !self.next_chunk(None::<&mut NullVisitor>) {
                return self.finish().map_err(|error| {
                    let kind = match &error {
                        Error::Disconnected { .. } => io::ErrorKind::ConnectionAborted,
                        _ => io::ErrorKind::InvalidData,
                    };
                    io::Error::new(kind, error)
                });
            }
        }
        Ok(())
    }

    /// Checks the block once all chunks were taken. Returns the same result on each call.
    fn finish(&mut self) -> Result<(), Error> {
        if self.end.is_none() {
            self.abandon = None;
            self.end = Some(self.check());
        }
        self.end.clone().unwrap_or(Ok(()))
    }

    fn check(&self) -> Result<(), Error> {
        let refused = |fault: InvalidBlock| Error::InvalidBlock {
            peer: self.peer.clone(),
            hash: self.hash(),
            error: Box::new(fault),
        };
        let checksum = match self.transfer.ended() {
            Some(TransferEnd::Complete(checksum)) => checksum.clone(),
            Some(TransferEnd::Cut(reason)) => return Err(self.disconnected(reason.clone())),
            None => return Err(self.disconnected(DisconnectReason::InternalError)),
        };
        checksum.map_err(|cause| refused(InvalidBlock::Checksum(cause)))?;
        if let Some(error) = &self.broken {
            return Err(refused(InvalidBlock::Malformed(error.clone())));
        }
        let scanner = self.guide.scanner();
        let content = scanner.check_merkle_root();
        content.map_err(|error| refused(InvalidBlock::Content(error)))
    }

    fn disconnected(&self, reason: DisconnectReason) -> Error {
        Error::Disconnected {
            peer: self.peer.clone(),
            reason,
        }
    }
}

impl Read for BlockReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.fill()?;
        let piece = &self.chunk[self.at..];
        let len = piece.len().min(buffer.len());
        buffer[..len].copy_from_slice(&piece[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for BlockReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill()?;
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount).min(self.chunk.len());
        self.transfer.count_read();
    }
}

impl Drop for BlockReader<'_> {
    fn drop(&mut self) {
        // A reader that has taken all bytes cannot block the connection. The end of the transfer
        // may not be recorded yet.
        if let Some(abandon) = self.abandon.take()
            && self.arrived < self.len
            && self.transfer.ended().is_none()
        {
            abandon();
            if let Some(source) = &mut self.source {
                source.abandon();
            }
        }
    }
}

impl fmt::Debug for BlockReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockReader")
            .field("peer", &self.peer)
            .field("hash", &self.hash())
            .field("len", &self.len)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
