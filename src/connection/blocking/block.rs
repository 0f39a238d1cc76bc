//! Incremental delivery of blocks on the caller's thread.

use super::Connection;
use crate::connection::block_reader::{BlockSource, transfer};
use crate::connection::message_reader::BlockPart;
use crate::connection::requests::Failure;
use crate::session::DisconnectReason;
use crate::wire::Command;

const BLOCK: Command = Command::new("block");

impl Connection {
    /// Handles a part of a block for the reader that requested it. Without one, the block is
    /// received like any other message.
    pub(super) fn on_block_part(&mut self, part: BlockPart) -> Result<(), DisconnectReason> {
        match part {
            BlockPart::Start { header, len } => {
                let limit = self.config.session.limits.limit(BLOCK);
                let Some(responder) = self.requests.claim_block(header.hash()) else {
                    return Ok(());
                };
                if len > limit {
                    responder.answer(Err(Failure::TooLarge { bytes: len, limit }));
                    return Ok(());
                }
                let (sink, reader) = transfer(self.name.clone(), header, len, || {});
                self.reader.stream_block(sink.buffer());
                self.block = Some(sink);
                responder.answer(Ok(reader));
            }
            BlockPart::Chunk(chunk) => {
                if let Some(sink) = &self.block {
                    // One read receives less than the capacity of the queue, which the reader
                    // empties first.
                    sink.try_push(chunk)?;
                    self.reader.provide_buffer(sink.buffer());
                }
            }
            BlockPart::End { checksum } => {
                if let Some(sink) = self.block.take() {
                    sink.complete(checksum);
                }
            }
        }
        Ok(())
    }
}

impl BlockSource for Connection {
    fn receive_more(&mut self) {
        // The reader gets the error from the sink.
        let _ = self.call(|connection| connection.poll_io(None));
    }

    fn abandon(&mut self) {
        self.block = None;
        self.session.close(DisconnectReason::BlockReaderAbandoned);
        self.stream.shut_down();
    }
}
