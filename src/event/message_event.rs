//! Messages received from peers.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use crate::memory::MemoryGuard;
use crate::peers::PeerId;
use crate::wire::Message;

/// A message received from a peer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BitcoinMessageEvent {
    /// The id of the peer.
    pub peer_id: PeerId,
    /// The address of the peer.
    pub address: SocketAddr,
    /// The message.
    pub message: SharedMessage,
}

/// A received message with shared ownership. A clone is cheap. Dereferences to [`Message`].
#[derive(Clone, Debug, PartialEq)]
pub struct SharedMessage(Arc<SharedContent>);

#[derive(Debug)]
struct SharedContent {
    message: Message,
    payload_len: u64,
    /// The guard of the payload's memory, unless the message itself owns it.
    memory: Option<MemoryGuard>,
}

impl PartialEq for SharedContent {
    fn eq(&self, other: &Self) -> bool {
        (&self.message, self.payload_len) == (&other.message, other.payload_len)
    }
}

impl SharedMessage {
    /// Creates a shared message. `payload_len` is the length of its payload on the wire, in bytes.
    pub fn new(message: Message, payload_len: u64) -> Self {
        Self::with_memory(message, payload_len, None)
    }

    /// Creates a shared message that also owns the memory guard of its payload.
    pub(crate) fn with_memory(
        message: Message,
        payload_len: u64,
        memory: Option<MemoryGuard>,
    ) -> Self {
        Self(Arc::new(SharedContent {
            message,
            payload_len,
            memory,
        }))
    }

    /// Returns the message, the length of its payload in bytes, and its memory guard. If the
    /// message is shared, it is copied, and the copy has no guard.
    pub(crate) fn into_parts(self) -> (Message, u64, Option<MemoryGuard>) {
        match Arc::try_unwrap(self.0) {
            Ok(shared) => (shared.message, shared.payload_len, shared.memory),
            Err(shared) => (shared.message.clone(), shared.payload_len, None),
        }
    }

    /// Returns the length of the received payload in bytes, without the header of the frame.
    pub fn payload_len(&self) -> u64 {
        self.0.payload_len
    }
}

impl Deref for SharedMessage {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.0.message
    }
}
