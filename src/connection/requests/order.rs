//! What the order in which a peer's messages come tells, with one stream and with two.
//!
//! A peer may have nothing to send for a request. Each request for a block or for headers is
//! therefore followed by a request for a transaction that no peer has: its end marker. A peer that
//! handles messages in order reports the marker as missing after the answer.
//!
//! On one stream everything comes in the order in which it was sent. Between two nothing is known: under the policy by which a node has two, blocks and pongs
//! go over one and `notfound` over the other (Bitcoin SV node 1.2.2, `src/net/stream_policy.cpp`).

use crate::wire::{Inventory, StreamType, Txid};

/// How many streams the peer may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Streams {
    #[default]
    One,
    /// A second one is being opened: the peer may have it already.
    Opening,
    /// What is asked goes over the stream that is meant for it, and so do the answers.
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

/// Tracks whether the answer to a request can still arrive, from its end marker and pings after
/// that.
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
    /// The ping whose pong has not come.
    Sent(u64),
    /// The pong came behind the name, and tells nothing of the other stream.
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

    /// A ping is sent, behind the name if there is one.
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
