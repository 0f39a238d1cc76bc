//! Message that is encoded once for several peers.

use std::sync::{Arc, OnceLock};

use crate::network::Magic;
use crate::session::{ContentError, PeerCapabilities, SendError, check_content};
use crate::wire::{EncodedFrame, Message};

/// A message that is encoded once and sent to several peers.
///
/// [`PeerConnectionHandle::send_encoded`](super::PeerConnectionHandle::send_encoded) sends it. A
/// clone shares the encoded bytes. The content is checked once, by the first connection that sends
/// the message. Each connection still checks whether its peer accepts the message.
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
pub struct EncodedMessage(Arc<EncodedParts>);

#[derive(Debug)]
struct EncodedParts {
    message: Message,
    magic: Magic,
    frame: EncodedFrame,
    /// The result of [`check_content`], once a connection has checked the content.
    content: OnceLock<Result<(), ContentError>>,
}

impl EncodedMessage {
    /// Encodes a message with the given frame magic.
    pub fn new(magic: Magic, message: impl Into<Message>) -> Self {
        let message = message.into();
        let frame = EncodedFrame::new(magic, &message);
        Self(Arc::new(EncodedParts {
            message,
            magic,
            frame,
            content: OnceLock::new(),
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

    /// Checks whether the message may be sent to a peer.
    pub(super) fn check(&self, receiver: PeerCapabilities) -> Result<(), SendError> {
        let checked = |decoded: &Message| {
            let content = self.0.content.get_or_init(|| check_content(decoded));
            content.clone()
        };
        receiver.check_with(&self.0.message, checked)
    }

    pub(super) fn frame(&self) -> EncodedFrame {
        self.0.frame.clone()
    }
}
