//! What the order in which a peer's messages come tells, with one stream and with two.
//!
//! On one stream everything comes in the order in which it was sent. Between two nothing is known: under the policy by which a node has two, blocks and pongs
//! go over one and `notfound` over the other (Bitcoin SV node 1.2.2, `src/net/stream_policy.cpp`).

use crate::wire::StreamType;

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

/// What is known of the end of an answer that may bring a block.
#[derive(Debug)]
pub(super) struct AnswerEnd {
    /// Whether both streams stood when it was asked for: the block, if there is one, comes over the second.
    over_two: bool,
    named: Option<Named>,
}

/// The end has been named, and the block has not come.
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

    /// The end is named. Returns whether the block would have come by now.
    pub(super) fn on_named(&mut self, on: StreamType, streams: Streams) -> bool {
        let is_behind_block = on == StreamType::Data1 && self.over_two;
        if streams == Streams::One || is_behind_block {
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

    /// A pong has come. Returns whether the block would have come by now: the peer has sent it before the name, if at all, and so before
    /// the pong. On the stream of the name it has not come, and on that of the pong neither.
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
