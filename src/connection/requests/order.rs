//! Conclusions from the order of a peer's messages, with one stream and with two.
//!
//! A peer may have nothing to send for a request. Each request for a block or for headers is
//! therefore followed by a request for a transaction that no peer has: its end marker. A peer that
//! handles messages in order reports the marker as missing after the answer.
//!
//! Messages of one stream arrive in order, but there is no order between streams. With two streams
//! of a node, blocks and pongs use one stream and `notfound` the other (Bitcoin SV node 1.2.2,
//! `src/net/stream_policy.cpp`).

use crate::wire::{Inventory, StreamType, Txid};

/// The number of streams that the peer may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Streams {
    #[default]
    One,
    /// A second stream is being opened, and the peer may already use it.
    Opening,
    /// Two streams are open. The policy selects the stream of each request and of its answer.
    Two,
}

/// Derives the end markers of requests from their ids.
///
/// No transaction has such an id, except by chance: 16 random bytes, the id of the request, and
/// zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct MarkerIds {
    seed: [u8; 16],
}

impl MarkerIds {
    pub(super) fn new(seed: [u8; 16]) -> Self {
        Self { seed }
    }

    /// Returns the end marker of a request, as an entry of its `getdata`.
    pub(super) fn marker(self, request: u64) -> Inventory {
        Inventory::Tx(self.txid(request))
    }

    /// Returns the request whose end marker this is, open or not.
    pub(super) fn request(self, txid: Txid) -> Option<u64> {
        let request = u64::from_le_bytes(*txid.0[16..].first_chunk()?);
        (self.txid(request) == txid).then_some(request)
    }

    fn txid(self, request: u64) -> Txid {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(&self.seed);
        hash[16..24].copy_from_slice(&request.to_le_bytes());
        Txid(hash)
    }
}

/// Tracks from an end marker and later pings whether the answer to a request can still arrive.
///
/// The answer is a block or headers.
#[derive(Debug)]
pub(super) struct AnswerEnd {
    /// Whether both streams were open when the request was sent: the answer, if there is one,
    /// arrives over the second.
    over_two: bool,
    named: Option<Named>,
}

/// The end marker has been reported as missing, and the answer has not arrived.
#[derive(Debug)]
struct Named {
    on: StreamType,
    fence: Fence,
}

#[derive(Debug, PartialEq, Eq)]
enum Fence {
    Wanted,
    /// A ping with this nonce was sent, and its pong has not arrived.
    Sent(u64),
    /// The pong arrived on the stream of the end marker, so the other stream may still carry an
    /// answer.
    Inconclusive,
}

impl AnswerEnd {
    pub(super) fn new(streams: Streams) -> Self {
        Self {
            over_two: streams == Streams::Two,
            named: None,
        }
    }

    /// Returns whether both streams were open when the request was sent.
    pub(super) fn is_over_two(&self) -> bool {
        self.over_two
    }

    /// Handles the end marker. Returns whether an answer would have arrived by now.
    pub(super) fn on_named(&mut self, on: StreamType, streams: Streams) -> bool {
        let is_after_answer = on == StreamType::Data1 && self.over_two;
        if streams == Streams::One || is_after_answer {
            return true;
        }
        let fence = Fence::Wanted;
        self.named.get_or_insert(Named { on, fence });
        false
    }

    pub(super) fn is_named(&self) -> bool {
        self.named.is_some()
    }

    pub(super) fn wants_fence(&self) -> bool {
        let named = self.named.as_ref();
        named.is_some_and(|named| named.fence == Fence::Wanted)
    }

    /// Records a ping, if the end marker was reported before and no earlier ping is open.
    pub(super) fn on_fence(&mut self, nonce: u64) {
        if let Some(named) = &mut self.named
            && !matches!(named.fence, Fence::Sent(_))
        {
            named.fence = Fence::Sent(nonce);
        }
    }

    /// Handles a pong. Returns whether an answer would have arrived by now.
    ///
    /// The peer sends the answer before the marker, and so before the pong. When marker and pong
    /// have arrived over different streams, the answer has arrived over neither.
    pub(super) fn on_pong(&mut self, nonce: u64, from: StreamType) -> bool {
        let Some(named) = &mut self.named else {
            return false;
        };
        if named.fence != Fence::Sent(nonce) {
            return false;
        }
        named.fence = Fence::Inconclusive;
        from != named.on
    }
}
