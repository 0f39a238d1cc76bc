//! A block that somebody reads while it arrives.

use std::sync::Weak;
use std::time::Instant;

use super::shared::{Link, Shared};
use crate::connection::block_reader::{BlockSink, transfer};
use crate::connection::inlet::{BlockPart, Inlet};
use crate::connection::requests::Requests;
use crate::session::DisconnectReason;

/// Where the block goes that is arriving, if somebody reads it.
#[derive(Debug, Default)]
pub(super) struct Streaming {
    sink: Option<BlockSink>,
}

impl Streaming {
    /// A part of a block has come. Returns from when until when its reader was waited for, if that was so.
    pub(super) fn take(
        &mut self,
        part: BlockPart,
        shared: &Shared,
        link: &Weak<Link>,
        inlet: &mut Inlet,
    ) -> Result<Option<(Instant, Instant)>, DisconnectReason> {
        match part {
            BlockPart::Begins { header, len } => {
                let claim = |table: &mut Requests| table.claim_block(header.hash());
                if let Some(waiter) = shared.requests.with(claim) {
                    let link = link.clone();
                    let abandon = move || {
                        if let Some(link) = link.upgrade() {
                            link.outbox.close(DisconnectReason::StreamAbandoned);
                        }
                    };
                    let peer = shared.address.to_string();
                    let (sink, reader) = transfer(peer, header, len, abandon);
                    if let Some(unwanted) = waiter.offer(reader) {
                        // Nobody has begun to read: the block is treated like others.
                        sink.cut(DisconnectReason::Command);
                        drop(unwanted);
                    } else {
                        inlet.stream_block(sink.buffer());
                        self.sink = Some(sink);
                    }
                }
                Ok(None)
            }
            BlockPart::Chunk(chunk) => {
                let Some(sink) = &self.sink else {
                    return Ok(None);
                };
                let timeout = shared.config().block_reader_timeout;
                let pause = sink.push(chunk, timeout, &shared.stop)?;
                inlet.refill(sink.buffer());
                Ok(pause)
            }
            BlockPart::Ends { checksum } => {
                if let Some(sink) = self.sink.take() {
                    sink.complete(checksum);
                }
                Ok(None)
            }
        }
    }

    /// The connection has ended.
    pub(super) fn cut(&mut self, reason: &DisconnectReason) {
        if let Some(sink) = self.sink.take() {
            sink.cut(reason.clone());
        }
    }
}
