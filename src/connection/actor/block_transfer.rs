//! Delivers a block to its reader while it arrives.

use std::sync::Arc;
use std::time::Instant;

use super::active_connection::ActiveConnection;
use super::peer_connection::PeerConnection;
use crate::connection::block_reader::{BlockSink, transfer};
use crate::connection::message_reader::{BlockPart, MessageReader};
use crate::connection::requests::Failure;
use crate::session::DisconnectReason;
use crate::wire::{Command, StreamType};

const BLOCK: Command = Command::new("block");

/// The reader of the block that is arriving, if it has one.
#[derive(Debug, Default)]
pub(super) struct BlockTransfer {
    sink: Option<BlockSink>,
}

impl BlockTransfer {
    /// Handles a part of a block. Returns the start and the end of the wait for the reader, if
    /// there was one.
    pub(super) fn take(
        &mut self,
        part: BlockPart,
        peer: &PeerConnection,
        (connection, stream): (&Arc<ActiveConnection>, StreamType),
        reader: &mut MessageReader,
    ) -> Result<Option<(Instant, Instant)>, DisconnectReason> {
        match part {
            BlockPart::Start { header, len } => {
                // The request is claimed and answered under one lock. A caller that cancels it gets
                // the reader, or the block is handled like any other.
                let limit = peer.config().0.session.limits.limit(BLOCK);
                let sink = connection.requests.with(|table| {
                    let responder = table.claim_block(header.hash())?;
                    if len > limit {
                        responder.answer(Err(Failure::TooLarge { bytes: len, limit }));
                        return None;
                    }
                    let connection = Arc::downgrade(connection);
                    let abandon = move || {
                        if let Some(connection) = connection.upgrade() {
                            connection.close(DisconnectReason::BlockReaderAbandoned);
                        }
                    };
                    let peer = peer.address.to_string();
                    let (sink, reader) = transfer(peer, header, len, abandon);
                    responder.answer(Ok(reader));
                    Some(sink)
                });
                if let Some(sink) = sink {
                    reader.stream_block(sink.buffer());
                    self.sink = Some(sink);
                }
                Ok(None)
            }
            BlockPart::Chunk(chunk) => {
                let Some(sink) = &self.sink else {
                    return Ok(None);
                };
                let check = |now| {
                    peer.keep_alive(connection, now);
                    match connection.close.final_reason() {
                        Some(reason) => Err(reason),
                        None => Ok(peer.config().0.block_reader_timeout),
                    }
                };
                let waker = connection.close.wakers().of(stream);
                let pause = sink.push(chunk, waker, check)?;
                reader.provide_buffer(sink.buffer());
                Ok(pause)
            }
            BlockPart::End { checksum } => {
                if let Some(sink) = self.sink.take() {
                    sink.complete(checksum);
                }
                Ok(None)
            }
        }
    }

    /// Ends the transfer with the reason of the close.
    pub(super) fn abort(&mut self, reason: &DisconnectReason) {
        if let Some(sink) = self.sink.take() {
            sink.abort(reason.clone());
        }
    }
}
