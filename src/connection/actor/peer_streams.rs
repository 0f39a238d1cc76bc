//! The TCP connections of a peer and the routing of messages between them.

use std::sync::Arc;
use std::time::Instant;

use crate::connection::close_cell::CloseTarget;
use crate::connection::outbox::Outbox;
use crate::connection::stream::Stream;
use crate::wire::{Message, StreamPolicy, StreamType};

/// One TCP connection of a peer.
pub(super) struct PeerStream {
    pub(super) kind: StreamType,
    pub(super) socket: Arc<Stream>,
    pub(super) outbox: Outbox,
}

impl CloseTarget for PeerStream {
    fn shut_down(&self) {
        self.outbox.close();
    }
}

/// The open TCP connections of a peer and the policy that routes messages to them.
#[derive(Clone, Default)]
pub(super) struct PeerStreams {
    primary: Option<Arc<PeerStream>>,
    /// Set once both sides have agreed on the data stream.
    data: Option<(Arc<PeerStream>, StreamPolicy)>,
}

impl PeerStreams {
    pub(super) fn set_primary(&mut self, stream: Arc<PeerStream>) {
        self.primary = Some(stream);
    }

    pub(super) fn primary(&self) -> Option<&Arc<PeerStream>> {
        self.primary.as_ref()
    }

    pub(super) fn policy(&self) -> Option<StreamPolicy> {
        self.data.as_ref().map(|(_, policy)| *policy)
    }

    /// Returns whether data can be read from the data stream, or `false` without one.
    pub(super) fn has_unread_data(&self) -> bool {
        let data = self.data.as_ref();
        data.is_some_and(|(stream, _)| stream.socket.has_data())
    }

    pub(super) fn add_data(&mut self, stream: Arc<PeerStream>, policy: StreamPolicy) {
        self.data = Some((stream, policy));
    }

    /// Returns the connection for this message. Without a data stream this is the first one.
    pub(super) fn stream_for(&self, message: &Message) -> Option<&Arc<PeerStream>> {
        match &self.data {
            Some((data, _)) if self.is_for_data(message) => Some(data),
            _ => self.primary.as_ref(),
        }
    }

    /// Returns all open connections.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<PeerStream>> {
        let data = self.data.as_ref().map(|(stream, _)| stream);
        self.primary.iter().chain(data)
    }

    /// Queues replies of the session, each on its stream. The reader of the stream detects a
    /// failure.
    pub(super) fn reply(&self, replies: &[Message]) {
        // Consecutive replies of the same stream are queued together.
        let mut rest = replies;
        while let Some(reply) = rest.first() {
            let is_for_data = self.is_for_data(reply);
            let same = |other: &&Message| self.is_for_data(other) == is_for_data;
            let count = match self.data {
                None => rest.len(),
                Some(_) => rest.iter().take_while(same).count(),
            };
            let (together, others) = rest.split_at(count);
            let _ = match (&self.data, &self.primary) {
                (Some((data, _)), _) if is_for_data => data.outbox.reply_after_bulk(together),
                (_, Some(first)) => first.outbox.reply(together),
                (_, None) => return,
            };
            rest = others;
        }
    }

    fn is_for_data(&self, message: &Message) -> bool {
        let data = self.data.as_ref();
        data.is_some_and(|(stream, policy)| policy.stream_for(message) == stream.kind)
    }

    /// Returns the time at which bytes of a large frame were last written on any stream.
    pub(super) fn last_transfer(&self) -> Option<Instant> {
        let transfers = self
            .all()
            .filter_map(|stream| stream.outbox.last_transfer());
        transfers.max()
    }

    /// Returns the numbers of queued messages and bytes.
    pub(super) fn queued(&self) -> (usize, usize) {
        self.all().fold((0, 0), |(messages, bytes), stream| {
            let (more_messages, more_bytes) = stream.outbox.queued();
            (messages + more_messages, bytes + more_bytes)
        })
    }
}
