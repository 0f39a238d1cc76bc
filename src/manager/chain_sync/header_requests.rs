//! The open header requests of all connections.

use crossbeam_channel::Select;

use crate::connection::{HeadersRequest, PeerConnectionHandle, StartHeadersError};
use crate::error::Error;
use crate::peers::PeerId;
use crate::wire::{BlockHash, BlockHeader};

/// The open requests, at most one for each connection.
#[derive(Default)]
pub(super) struct HeaderRequests {
    open: Vec<OpenRequest>,
}

struct OpenRequest {
    id: u64,
    peer_id: PeerId,
    request: HeadersRequest,
    /// The number of bytes of incomplete frames at the last check.
    received: u64,
}

/// The end of a request.
pub(super) struct HeaderAnswer {
    pub(super) id: u64,
    pub(super) peer_id: PeerId,
    pub(super) headers: Result<Vec<BlockHeader>, Error>,
}

impl HeaderRequests {
    /// Starts a request.
    pub(super) fn start(
        &mut self,
        id: u64,
        peer: &PeerConnectionHandle,
        locator: Vec<BlockHash>,
    ) -> Result<(), StartHeadersError> {
        let request = peer.start_headers(locator)?;
        self.open.push(OpenRequest {
            id,
            peer_id: peer.peer_id(),
            received: request.large_frame_bytes(),
            request,
        });
        Ok(())
    }

    /// Cancels a request.
    pub(super) fn cancel(&mut self, id: u64) {
        self.open.retain(|one| one.id != id);
    }

    /// Adds the requests to a selection. [`HeaderRequests::take`] takes the positions.
    pub(super) fn add_to<'a>(&'a self, select: &mut Select<'a>) {
        for one in &self.open {
            select.recv(one.request.receiver());
        }
    }

    /// Removes the ended request at a position.
    pub(super) fn take(&mut self, position: usize) -> Option<HeaderAnswer> {
        let is_ended = |one: &OpenRequest| !one.request.receiver().is_empty();
        self.open.get(position).filter(|one| is_ended(one))?;
        let one = self.open.remove(position);
        Some(HeaderAnswer {
            id: one.id,
            peer_id: one.peer_id,
            headers: one.request.take(),
        })
    }

    /// Returns the peers of open requests from which bytes arrived since the last call.
    pub(super) fn progressing(&mut self) -> Vec<PeerId> {
        let advance = |one: &mut OpenRequest| {
            let before = one.received;
            one.received = one.request.large_frame_bytes();
            (one.received > before).then_some(one.peer_id)
        };
        self.open.iter_mut().filter_map(advance).collect()
    }
}
