//! The request for addresses.
//!
//! `getaddr` and `addr` have no id, and nodes also send unrequested addresses. A message
//! is the answer if it cannot be one of those:
//!
//! | peer | answer to `getaddr` | other `addr` messages |
//! | --- | --- | --- |
//! | SV Node | up to 1,000 entries of its table, at a random time, after 30 s on average | its own address, and relayed addresses, in one message at such a time |
//! | Teranode | up to 1,000 entries, at once | none: it relays no addresses, and announces its own one only to nodes that it dials, whose `getaddr` it ignores |
//! | other | unknown | assumed to be those of an SV Node |
//!
//! An SV Node relays only entries of the last 10 minutes. It stores an entry of its table with a
//! time that is 2 hours earlier than the advertised one, unless the peer at that address advertised
//! it (`src/net/net_processing.cpp`, `src/addrman.cpp`). An SV Node discards the addresses that wait
//! to be relayed when it handles `getaddr`. The rules for a message that arrives after the request
//! was opened are therefore:
//!
//! - From a Teranode, any list is the answer.
//! - An empty list is the answer, because nothing is relayed with it.
//! - A list of several entries is the answer if one of them was [too old](MAX_RELAYED_AGE) to be
//!   relayed when the request was opened. The number of entries does not matter: anyone can have a
//!   node relay many recent addresses.
//! - Other lists are ordinary messages. The longest one is also remembered, since it may be the
//!   answer of a small network, in which all entries are recent. It is the result when the time of
//!   the caller is over.
//!
//! A single entry may be the address of a node whose clock is wrong, whatever its time.

use super::ticket::Responder;
use crate::session::DisconnectReason;
use crate::wire::TimestampedAddress;

/// The age in seconds above which an address is not relayed: between the 10 minutes of a node, with
/// tolerance for clocks, and the 2 hours by which it ages the entries of its table.
const MAX_RELAYED_AGE: i64 = 3600;

#[derive(Debug, Default)]
pub(super) struct AddressRequest {
    open: Option<OpenRequest>,
    /// Whether the peer received a `getaddr`, by an earlier request or as a message of the caller.
    sent: bool,
}

#[derive(Debug)]
struct OpenRequest {
    id: u64,
    /// The time before which no address is relayed. `None` if the peer relays none.
    oldest_relayed: Option<u32>,
    /// The longest list that may be an answer.
    candidate: Vec<TimestampedAddress>,
    responder: Responder<Vec<TimestampedAddress>>,
}

impl OpenRequest {
    fn is_answered_by(&self, addresses: &[TimestampedAddress]) -> bool {
        let Some(oldest) = self.oldest_relayed else {
            return true;
        };
        let has_old = || addresses.iter().any(|entry| entry.time < oldest);
        addresses.is_empty() || addresses.len() > 1 && has_old()
    }
}

impl AddressRequest {
    pub(super) fn len(&self) -> usize {
        usize::from(self.open.is_some())
    }

    pub(super) fn is_requested(&self) -> bool {
        self.sent || self.open.is_some()
    }

    /// Opens the request. `relays` is whether the peer relays addresses, and `now` the Unix time in
    /// seconds.
    pub(super) fn open(
        &mut self,
        id: u64,
        relays: bool,
        now: i64,
        responder: Responder<Vec<TimestampedAddress>>,
    ) {
        let oldest = u32::try_from(now.saturating_sub(MAX_RELAYED_AGE)).unwrap_or_default();
        self.open = Some(OpenRequest {
            id,
            oldest_relayed: relays.then_some(oldest),
            candidate: Vec::new(),
            responder,
        });
    }

    pub(super) fn on_sent(&mut self) {
        self.sent = true;
    }

    pub(super) fn on_addr(&mut self, addresses: &[TimestampedAddress]) -> bool {
        let answered = self.open.take_if(|open| open.is_answered_by(addresses));
        if let Some(request) = answered {
            self.sent = true;
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
        let Some(request) = self.open.take_if(|open| open.id == id) else {
            return;
        };
        self.sent = true;
        if !request.candidate.is_empty() {
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
