//! Message that is encoded once for several peers.

use std::sync::Arc;

use crate::network::Magic;
use crate::wire::{EncodedFrame, Message};

/// A message that is encoded once and sent to several peers.
///
/// [`PeerConnectionHandle::send_encoded`](super::PeerConnectionHandle::send_encoded) sends it. A
/// clone shares the encoded bytes. Each connection still checks whether the message may be sent to
/// its peer.
///
/// ```
/// use bsv_p2p::Network;
/// use bsv_p2p::connection::EncodedMessage;
/// use bsv_p2p::wire::{BlockHash, Inv, Inventory};
///
/// let announcement = Inv::from(vec![Inventory::Block(BlockHash::ZERO)]);
/// let prepared = EncodedMessage::new(Network::Mainnet.magic(), announcement);
/// assert_eq!(prepared.message().command().name(), "inv");
/// ```
#[derive(Clone, Debug)]
pub struct EncodedMessage(Arc<Prepared>);

#[derive(Debug)]
struct Prepared {
    message: Message,
    magic: Magic,
    frame: EncodedFrame,
}

impl EncodedMessage {
    /// Encodes a message with the given frame magic.
    pub fn new(magic: Magic, message: impl Into<Message>) -> Self {
        let message = message.into();
        let frame = EncodedFrame::new(magic, &message);
        Self(Arc::new(Prepared {
            message,
            magic,
            frame,
        }))
    }

    /// Returns the message.
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// Returns the frame magic.
    pub fn magic(&self) -> Magic {
        self.0.magic
    }

    pub(super) fn frame(&self) -> EncodedFrame {
        self.0.frame.clone()
    }
}
