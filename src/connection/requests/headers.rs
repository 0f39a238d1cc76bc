//! Requests for headers, whose answers do not identify the request.
//!
//! A peer may send no answer: a Teranode that has nothing after the locator, or any node in its
//! initial block download. The end marker of the request then ends it with an empty list.

use std::borrow::Cow;

use super::failure::Failure;
use super::order::{AnswerEnd, Streams};
use super::questions::{Questions, Waiter};
use crate::session::DisconnectReason;
use crate::wire::{BlockHash, BlockHeader, GetHeaders, StreamType};

/// The header requests of a connection. The drivers open one at a time.
///
/// A cancelled request may still be answered. A ping is then sent before the next request, unless
/// the end marker of the cancelled one has arrived. A node answers in order, so headers before the
/// pong are late.
///
/// With two streams, the pong arrives on the stream of headers. A request that was sent over a
/// single stream may be answered on the first one. Headers from there are then no answer until a
/// pong or an end marker arrives there.
#[derive(Debug)]
pub(super) struct HeaderQuestions {
    open: Questions<HeaderQuestion, Vec<BlockHeader>>,
    genesis: BlockHash,
    streams: Streams,
    /// The last cancelled request, while its answer may still arrive.
    late: Option<u64>,
    /// Whether the answer to a cancelled request may arrive over the first stream.
    late_over_first: bool,
    /// Whether an end marker has arrived since the last ping after one.
    may_want_fence: bool,
}

#[derive(Debug)]
struct HeaderQuestion {
    locator: Vec<BlockHash>,
    stop: BlockHash,
    end: AnswerEnd,
    /// The ping before the request, until its pong arrives.
    fence: Option<u64>,
}

impl HeaderQuestion {
    /// Returns the part of `headers` that answers this request, or `None` if they do not answer it.
    ///
    /// Headers answer a request if they are empty, or if the first one is in the locator or the
    /// child of a block in it. Genesis and its child are answers as well. An SV Node starts with
    /// the child of the common ancestor, a Teranode with the ancestor itself. Both start at genesis
    /// if they know no block of the locator. With an empty locator, the first header must be
    /// `stop`.
    ///
    /// The answer starts after the last of the leading headers that the locator contains, and after
    /// genesis. It ends with `stop` if that is one of them.
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
        if known == 0 && !is_known(first.previous) {
            return None;
        }
        // A Teranode ignores the stop hash.
        let end = if self.stop == BlockHash::ZERO {
            None
        } else {
            headers.iter().position(|header| header.hash() == self.stop)
        };
        let end = end.map_or(headers.len(), |last| last + 1);
        Some(headers.get(known..end).unwrap_or_default())
    }
}

/// Returns headers in ascending order. A Teranode of 2025 sends its answers in descending order.
fn ascending(headers: &[BlockHeader]) -> Cow<'_, [BlockHeader]> {
    match headers {
        [first, second, ..] if first.previous == second.hash() => {
            headers.iter().rev().copied().collect()
        }
        _ => headers.into(),
    }
}

impl HeaderQuestions {
    pub(super) fn new(genesis: BlockHash) -> Self {
        Self {
            open: Questions::default(),
            genesis,
            streams: Streams::One,
            late: None,
            late_over_first: false,
            may_want_fence: false,
        }
    }

    /// Sets the number of streams. With one stream, a request ends if its end marker was reported.
    pub(super) fn set_streams(&mut self, streams: Streams) {
        self.streams = streams;
        if streams == Streams::One {
            self.end_if(|end| end.is_named());
        }
    }

    /// Returns whether a ping must be sent after an end marker that has arrived.
    pub(super) fn want_fence(&self) -> bool {
        let mut ends = self.open.iter().map(|question| &question.end);
        self.streams == Streams::Two && self.may_want_fence && ends.any(AnswerEnd::wants_fence)
    }

    /// Handles a ping that is sent after all end markers that have arrived.
    pub(super) fn on_fence(&mut self, nonce: u64) {
        self.may_want_fence = false;
        let open = self.open.iter_mut();
        open.for_each(|(_, question)| question.end.on_fence(nonce));
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn need_fence(&self) -> bool {
        self.late.is_some()
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
            end: AnswerEnd::new(self.streams),
            fence,
        };
        self.open.open(id, question, waiter);
    }

    pub(super) fn on_pong(&mut self, nonce: u64, from: StreamType) {
        for (_, question) in self.open.iter_mut() {
            let is_fence = question.fence.take_if(|fence| *fence == nonce).is_some();
            self.late_over_first &= !(is_fence && from == StreamType::General);
        }
        self.end_if(|end| end.on_pong(nonce, from));
    }

    /// Handles the end marker of a request, open or not.
    pub(super) fn on_end_marker(&mut self, id: u64, from: StreamType) {
        let streams = self.streams;
        if let Some(question) = self.open.get_mut(id) {
            let is_over = question.end.on_named(from, streams);
            if !is_over {
                self.may_want_fence = true;
            } else if question.fence.is_none() {
                self.settle(Some(id), Ok(&[]));
            }
            // Otherwise the answer may be among the headers that were classified as late.
        } else if self.late.is_some_and(|late| late <= id) {
            self.exclude_late_answer(from);
        }
    }

    /// Handles the end marker of the last cancelled request. Its answer can no longer arrive over
    /// the same stream.
    fn exclude_late_answer(&mut self, on: StreamType) {
        self.late_over_first &= on != StreamType::General;
        if on == StreamType::Data1 || self.streams == Streams::One {
            self.late = None;
            let open = self.open.iter_mut();
            open.for_each(|(_, question)| question.fence = None);
        }
    }

    /// Returns whether these headers answer the open request, and answers it if so. See
    /// [`HeaderQuestion::answer`].
    pub(super) fn on_headers(&mut self, headers: &[BlockHeader], from: StreamType) -> bool {
        if self.may_be_late(from) {
            return false;
        }
        let genesis = self.genesis;
        let headers = ascending(headers);
        let answered = self.open.iter_mut().find_map(|(id, question)| {
            let answer = question.answer(&headers, genesis)?;
            Some((id, answer))
        });
        let Some((id, answer)) = answered else {
            return false;
        };
        self.settle(Some(id), Ok(answer))
    }

    pub(super) fn on_passed_over(&mut self, failure: Failure, from: StreamType) -> bool {
        if self.may_be_late(from) {
            return false;
        }
        let answered = self.open.first(|question| question.fence.is_none());
        self.settle(answered, Err(failure))
    }

    pub(super) fn give_up(&mut self, id: u64) {
        if let Some((question, _)) = self.open.take(id) {
            self.late = Some(id);
            self.late_over_first |= !question.end.is_over_two();
        }
    }

    pub(super) fn withdraw(&mut self, id: u64) {
        self.open.take(id);
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        self.open.close(reason);
    }

    /// Ends a request with an empty list if `is_over` returns that no headers will arrive.
    fn end_if(&mut self, mut is_over: impl FnMut(&mut AnswerEnd) -> bool) {
        let mut open = self.open.iter_mut();
        let over = open.find_map(|(id, question)| {
            let is_over = is_over(&mut question.end) && question.fence.is_none();
            is_over.then_some(id)
        });
        drop(open);
        self.settle(over, Ok(&[]));
    }

    /// Returns whether headers of this stream may answer a cancelled request, regardless of answers
    /// on the other stream.
    fn may_be_late(&self, from: StreamType) -> bool {
        self.late_over_first && from == StreamType::General
    }

    fn settle(&mut self, answered: Option<u64>, answer: Result<&[BlockHeader], Failure>) -> bool {
        if let Some(id) = answered {
            // Late headers on the stream of this answer have arrived before it.
            self.late = None;
            self.open.end(id, answer.map(<[_]>::to_vec));
        }
        answered.is_some()
    }
}
