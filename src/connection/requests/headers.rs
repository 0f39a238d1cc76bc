//! Questions for headers, whose answers do not name them.

use super::failure::Failure;
use super::order::Streams;
use super::questions::{Questions, Waiter};
use crate::session::DisconnectReason;
use crate::wire::{BlockHash, BlockHeader, GetHeaders, StreamType};

/// The drivers see to it that one is open at a time.
///
/// A question whose time ran out may yet be answered. A ping goes before the next one then: a node answers in order, and what
/// comes before the pong is not meant. With two streams that holds for the one over which the pong comes, which is that of headers as well: what was
/// asked before the second stood may come late over the first, so that nothing that does is an answer.
#[derive(Debug)]
pub(super) struct HeaderQuestions {
    open: Questions<HeaderQuestion, Vec<BlockHeader>>,
    genesis: BlockHash,
    streams: Streams,
    /// Whether the answer to a question may still come, because nobody waited for it to the end.
    late: bool,
    /// Whether such an answer may come over the first stream.
    late_over_first: bool,
}

#[derive(Debug)]
struct HeaderQuestion {
    locator: Vec<BlockHash>,
    stop: BlockHash,
    /// Whether both streams stood when it was asked.
    over_two: bool,
    /// The ping whose pong has not come.
    fence: Option<u64>,
}

impl HeaderQuestion {
    /// Returns the part of `headers` that answers this request, or `None` if they do not answer it.
    ///
    /// Headers answer a request if they are empty, or if their first one is a block of the locator, the child of one, the genesis
    /// block or its child. An SV Node starts with the child of the common ancestor, a Teranode with the ancestor itself. Both start
    /// at genesis if they know no block of the locator. With an empty locator, the first header must be `stop`.
    ///
    /// The answer starts after the last of the leading headers that the locator contains, and after genesis.
    fn answer<'a>(
        &self,
        headers: &'a [BlockHeader],
        genesis: BlockHash,
    ) -> Option<&'a [BlockHeader]> {
        if self.fence.is_some() {
            return None;
        }
        let Some(first) = headers.first() else {
            return Some(headers);
        };
        if self.locator.is_empty() {
            return (first.hash() == self.stop).then_some(headers);
        }
        let is_known = |hash: BlockHash| hash == genesis || self.locator.contains(&hash);
        let mut leading = headers.iter();
        let known = leading.position(|header| !is_known(header.hash()));
        let known = known.unwrap_or(headers.len());
        (known > 0 || is_known(first.previous)).then_some(&headers[known..])
    }
}

impl HeaderQuestions {
    pub(super) fn new(genesis: BlockHash) -> Self {
        Self {
            open: Questions::default(),
            genesis,
            streams: Streams::One,
            late: false,
            late_over_first: false,
        }
    }

    pub(super) fn set_streams(&mut self, streams: Streams) {
        self.streams = streams;
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn need_fence(&self) -> bool {
        self.late
    }

    pub(super) fn ask(
        &mut self,
        id: u64,
        question: &GetHeaders,
        fence: Option<u64>,
        waiter: Waiter<Vec<BlockHeader>>,
    ) {
        let question = HeaderQuestion {
            locator: question.locator.clone(),
            stop: question.stop,
            over_two: self.streams == Streams::Two,
            fence,
        };
        self.open.open(id, question, waiter);
    }

    pub(super) fn on_pong(&mut self, nonce: u64, from: StreamType) {
        for (_, question) in self.open.iter_mut() {
            let is_fence = question.fence.take_if(|fence| *fence == nonce).is_some();
            self.late_over_first &= !(is_fence && from == StreamType::General);
        }
    }

    /// Returns whether these headers answer the open request, and answers it if so: see [`HeaderQuestion::answer`].
    pub(super) fn on_headers(&mut self, headers: &[BlockHeader], from: StreamType) -> bool {
        if self.may_be_late(from) {
            return false;
        }
        let genesis = self.genesis;
        let answered = self.open.iter_mut().find_map(|(id, question)| {
            let answer = question.answer(headers, genesis)?;
            Some((id, answer))
        });
        let Some((id, answer)) = answered else {
            return false;
        };
        self.settle(Some(id), Ok(answer))
    }

    pub(super) fn on_passed_over(&mut self, len: u64, from: StreamType) -> bool {
        if self.may_be_late(from) {
            return false;
        }
        let answered = self.open.first(|question| question.fence.is_none());
        self.settle(answered, Err(Failure::TooLarge(len)))
    }

    pub(super) fn give_up(&mut self, id: u64) {
        if let Some((question, _)) = self.open.take(id) {
            self.late = true;
            self.late_over_first |= !question.over_two;
        }
    }

    pub(super) fn withdraw(&mut self, id: u64) {
        self.open.take(id);
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        self.open.close(reason);
    }

    /// Whether what comes there may be late, whatever has been answered over the other stream.
    fn may_be_late(&self, from: StreamType) -> bool {
        self.late_over_first && from == StreamType::General
    }

    fn settle(&mut self, answered: Option<u64>, answer: Result<&[BlockHeader], Failure>) -> bool {
        if let Some(id) = answered {
            // Whatever was late on its stream has come before this.
            self.late = false;
            self.open.end(id, answer.map(<[_]>::to_vec));
        }
        answered.is_some()
    }
}
