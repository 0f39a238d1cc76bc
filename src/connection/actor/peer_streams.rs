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
    first: Option<Arc<PeerStream>>,
    /// Set once both sides have agreed on the second stream.
    second: Option<(Arc<PeerStream>, StreamPolicy)>,
}

impl PeerStreams {
    pub(super) fn set_first(&mut self, link: Arc<PeerStream>) {
        self.first = Some(link);
    }

    pub(super) fn first(&self) -> Option<&Arc<PeerStream>> {
        self.first.as_ref()
    }

    pub(super) fn policy(&self) -> Option<StreamPolicy> {
        self.second.as_ref().map(|(_, policy)| *policy)
    }

    pub(super) fn add_second(&mut self, link: Arc<PeerStream>, policy: StreamPolicy) {
        self.second = Some((link, policy));
    }

    /// Returns the connection for this message. Without a second stream this is the first one.
    pub(super) fn carrying(&self, message: &Message) -> Option<&Arc<PeerStream>> {
        match &self.second {
            Some((second, _)) if self.is_for_second(message) => Some(second),
            _ => self.first.as_ref(),
        }
    }

    /// Returns all open connections.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<PeerStream>> {
        let second = self.second.as_ref().map(|(link, _)| link);
        self.first.iter().chain(second)
    }

    /// Queues replies of the session, each on its stream. The reader of the stream detects a
    /// failure.
    pub(super) fn reply(&self, replies: &[Message]) {
        // Consecutive replies of the same stream are queued together.
        let mut rest = replies;
        while let Some(reply) = rest.first() {
            let is_for_second = self.is_for_second(reply);
            let same = |other: &&Message| self.is_for_second(other) == is_for_second;
            let count = match self.second {
                None => rest.len(),
                Some(_) => rest.iter().take_while(same).count(),
            };
            let (together, others) = rest.split_at(count);
            let _ = match (&self.second, &self.first) {
                (Some((second, _)), _) if is_for_second => second.outbox.reply_after_bulk(together),
                (_, Some(first)) => first.outbox.reply(together),
                (_, None) => return,
            };
            rest = others;
        }
    }

    fn is_for_second(&self, message: &Message) -> bool {
        let second = self.second.as_ref();
        second.is_some_and(|(link, policy)| policy.stream_for(message) == link.kind)
    }

    /// Returns the time at which bytes of a large frame were last written on any stream.
    pub(super) fn last_transfer(&self) -> Option<Instant> {
        let transfers = self.all().filter_map(|link| link.outbox.last_transfer());
        transfers.max()
    }

    /// Returns the numbers of queued messages and bytes.
    pub(super) fn queued(&self) -> (usize, usize) {
        self.all().fold((0, 0), |(messages, bytes), link| {
            let (more_messages, more_bytes) = link.outbox.queued();
            (messages + more_messages, bytes + more_bytes)
        })
    }
}
