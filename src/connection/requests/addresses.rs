//! The request for addresses.
//!
//! A node answers `getaddr` once, after 30 s on average, and only on connections that it accepted.
//! It may send an `addr` of one entry before: its own address, or a relayed one
//! (`src/net/net_processing.cpp`).

use super::ticket::Responder;
use crate::session::DisconnectReason;
use crate::wire::TimestampedAddress;

#[derive(Debug, Default)]
pub(super) struct AddressRequest {
    open: Option<OpenRequest>,
    /// Whether a `getaddr` was sent, by a request or as a message of the caller.
    sent: bool,
}

#[derive(Debug)]
struct OpenRequest {
    id: u64,
    /// The last list with a single entry. It is the answer if no other list arrives.
    candidate: Vec<TimestampedAddress>,
    responder: Responder<Vec<TimestampedAddress>>,
}

impl OpenRequest {
    fn is_answered_by(addresses: &[TimestampedAddress]) -> bool {
        addresses.len() != 1
    }
}

impl AddressRequest {
    pub(super) fn len(&self) -> usize {
        usize::from(self.open.is_some())
    }

    pub(super) fn is_asked(&self) -> bool {
        self.sent || self.open.is_some()
    }

    pub(super) fn ask(&mut self, id: u64, responder: Responder<Vec<TimestampedAddress>>) {
        self.open = Some(OpenRequest {
            id,
            candidate: Vec::new(),
            responder,
        });
    }

    pub(super) fn on_sent(&mut self) {
        self.sent = true;
    }

    pub(super) fn on_addr(&mut self, addresses: &[TimestampedAddress]) -> bool {
        let answered = self
            .open
            .take_if(|_| OpenRequest::is_answered_by(addresses));
        if let Some(request) = answered {
            request.responder.answer(Ok(addresses.to_vec()));
            return true;
        }
        if let Some(request) = &mut self.open
            && addresses.len() >= request.candidate.len()
        {
            request.candidate = addresses.to_vec();
        }
        false
    }

    pub(super) fn cancel(&mut self, id: u64) {
        if let Some(request) = self.open.take_if(|open| open.id == id)
            && !request.candidate.is_empty()
        {
            request.responder.answer(Ok(request.candidate));
        }
    }

    /// Removes a request that was not sent. Another one is possible then.
    pub(super) fn abort(&mut self, id: u64) {
        self.open.take_if(|open| open.id == id);
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        if let Some(request) = self.open.take() {
            request.responder.close(reason);
        }
    }
}
