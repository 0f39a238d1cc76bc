//! Requests for headers, whose answers do not identify the request.
//!
//! A peer may send no answer: a Teranode that has nothing after the locator, or any node in its
//! initial block download. The end marker of the request then ends it with an empty list.
//!
//! A cancelled request may still be answered. The next request is therefore preceded by a ping, the
//! fence. A node answers in order, so headers before its pong are late. Some peers answer pings
//! ahead of headers, as this library does, so the pong does not prove that the late answer has
//! arrived. Until the end marker proves it:
//!
//! - Headers that continue the locator are the answer, whichever request they were sent for.
//! - An empty `headers` message is not an answer, because it continues any locator. The end marker
//!   of the request ends it instead.

use std::borrow::Cow;

use super::reply_tracker::ReplyTracker;
use super::ticket::{Failure, Responder};
use crate::session::DisconnectReason;
use crate::wire::{BlockHash, BlockHeader, GetHeaders};

/// The header request of a connection. The drivers open one at a time.
#[derive(Debug)]
pub(super) struct HeaderRequests {
    open: Option<HeaderRequest>,
    genesis: BlockHash,
    /// The last ended request, while headers for it or an earlier one may arrive. It is tracked
    /// until its end marker proves that they cannot.
    late: Option<u64>,
}

#[derive(Debug)]
struct HeaderRequest {
    id: u64,
    locator: Vec<BlockHash>,
    stop: BlockHash,
    /// The ping before the request, until its pong arrives. Headers are late until then.
    fence: Option<u64>,
    responder: Responder<Vec<BlockHeader>>,
}

impl HeaderRequest {
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

impl HeaderRequests {
    pub(super) fn new(genesis: BlockHash) -> Self {
        Self {
            open: None,
            genesis,
            late: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.open.is_some())
    }

    /// Returns whether a ping must precede the next request.
    pub(super) fn needs_fence(&self) -> bool {
        self.late.is_some()
    }

    pub(super) fn open(
        &mut self,
        id: u64,
        getheaders: &GetHeaders,
        fence: Option<u64>,
        responder: Responder<Vec<BlockHeader>>,
    ) {
        self.open = Some(HeaderRequest {
            id,
            locator: getheaders.locator.clone(),
            stop: getheaders.stop,
            fence,
            responder,
        });
    }

    /// Handles a pong: headers are the answer if it is that of the ping before the request.
    pub(super) fn on_pong(&mut self, nonce: u64) {
        if let Some(request) = &mut self.open {
            request.fence.take_if(|fence| *fence == nonce);
        }
    }

    /// Handles the proof that no headers can arrive for a request, or for an earlier one. Ends it
    /// with an empty list if it is open.
    pub(super) fn on_no_answer(&mut self, id: u64, replies: &mut ReplyTracker) {
        let is_open = self.open.as_ref().is_some_and(|open| open.id == id);
        if is_open && let Some(late) = self.late.take() {
            replies.close(late);
        } else if self.late.take_if(|late| *late == id).is_some()
            && let Some(request) = &mut self.open
        {
            // The proof replaces the pong.
            request.fence = None;
        }
        // With an open fence, the answer may be among the headers that were classified as late.
        let over = |open: &mut HeaderRequest| open.id == id && open.fence.is_none();
        if let Some(request) = self.open.take_if(over) {
            request.responder.answer(Ok(Vec::new()));
        }
    }

    /// Returns whether these headers answer the open request, and answers it if so. See
    /// [`HeaderRequest::answer`].
    pub(super) fn on_headers(
        &mut self,
        headers: &[BlockHeader],
        replies: &mut ReplyTracker,
    ) -> bool {
        if headers.is_empty() && self.late.is_some() {
            return false;
        }
        let Some(request) = self.open.as_ref().filter(|open| open.fence.is_none()) else {
            return false;
        };
        let headers = ascending(headers);
        match request.answer(&headers, self.genesis) {
            Some(answer) => self.end(Ok(answer.to_vec()), replies),
            None => false,
        }
    }

    /// Assigns discarded headers to the open request. Returns whether there is one.
    pub(super) fn on_discarded(&mut self, failure: Failure, replies: &mut ReplyTracker) -> bool {
        let is_answer = self.open.as_ref().is_some_and(|open| open.fence.is_none());
        is_answer && self.end(Err(failure), replies)
    }

    /// Cancels a request. Its headers are late from now on, if they can still arrive.
    pub(super) fn cancel(&mut self, id: u64, replies: &mut ReplyTracker) {
        if self.open.take_if(|open| open.id == id).is_some() && replies.is_tracked(id) {
            self.set_late(id, replies);
        }
    }

    /// Removes a request that was not sent.
    pub(super) fn abort(&mut self, id: u64) {
        self.open.take_if(|open| open.id == id);
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        if let Some(request) = self.open.take() {
            request.responder.close(reason);
        }
    }

    fn end(
        &mut self,
        answer: Result<Vec<BlockHeader>, Failure>,
        replies: &mut ReplyTracker,
    ) -> bool {
        let Some(request) = self.open.take() else {
            return false;
        };
        request.responder.answer(answer);
        if self.late.is_some() {
            // These headers may have been late, and the answer to this request may follow.
            self.set_late(request.id, replies);
        } else {
            replies.close(request.id);
        }
        true
    }

    fn set_late(&mut self, id: u64, replies: &mut ReplyTracker) {
        if let Some(earlier) = self.late.replace(id) {
            replies.close(earlier);
        }
    }
}
