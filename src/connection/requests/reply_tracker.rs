//! Conclusions from the order of a peer's messages, with one stream and with two.
//!
//! A peer may have nothing to send for a request. Each request for a block or for headers is
//! therefore followed by a request for a transaction that no peer has: its end marker. A peer that
//! handles messages in order reports the marker as missing after the answer.
//!
//! Messages of one stream arrive in order, but there is no order between streams. With two streams
//! of a node, blocks and pongs use one stream and `notfound` the other (Bitcoin SV node 1.2.2,
//! `src/net/stream_policy.cpp`). A ping, the fence, is then sent after the marker has arrived. Its
//! pong arrives on the stream of the answer, after the answer.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::{Inventory, StreamType, Txid};

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

/// The number of streams that the peer may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StreamCount {
    #[default]
    One,
    /// A second stream is being opened, and the peer may already use it. Requests continue, but an
    /// end marker is inconclusive until the result is known.
    Opening,
    /// Two streams are open. The policy selects the stream of each request and of its answer.
    Two,
}

/// Concludes from end markers and pongs that the answer to a request can no longer arrive.
///
/// The answer is a block or headers. Requests are identified by their ids.
#[derive(Debug, Default)]
pub(super) struct ReplyTracker {
    streams: StreamCount,
    /// The requests whose answer may still arrive.
    tracked: BTreeMap<u64, Tracked>,
    /// The tracked requests whose end marker has arrived.
    marked: BTreeSet<u64>,
    /// The marked requests that need a ping.
    unfenced: BTreeSet<u64>,
}

#[derive(Debug)]
struct Tracked {
    /// Whether both streams were open when the request was sent: the answer, if there is one,
    /// arrives over the second.
    over_two: bool,
    marker: Option<ArrivedMarker>,
}

/// An end marker that arrived before the answer.
#[derive(Debug)]
struct ArrivedMarker {
    on: StreamType,
    /// The ping that was sent afterwards and is not answered.
    fence: Option<u64>,
}

impl ReplyTracker {
    /// Tracks a request that is about to be sent.
    pub(super) fn open(&mut self, id: u64) {
        let over_two = self.streams == StreamCount::Two;
        let marker = None;
        self.tracked.insert(id, Tracked { over_two, marker });
    }

    /// Returns whether the answer to a request may still arrive.
    pub(super) fn is_tracked(&self, id: u64) -> bool {
        self.tracked.contains_key(&id)
    }

    /// Ends the tracking of a request.
    pub(super) fn close(&mut self, id: u64) {
        self.marked.remove(&id);
        self.unfenced.remove(&id);
        self.tracked.remove(&id);
    }

    /// Ends the tracking of all requests.
    pub(super) fn close_all(&mut self) {
        self.tracked.clear();
        self.marked.clear();
        self.unfenced.clear();
    }

    /// Sets the number of streams. Returns the requests whose answer can no longer arrive.
    ///
    /// The requests that this and other methods return are no longer tracked.
    #[must_use = "the requests must be ended"]
    pub(super) fn set_streams(&mut self, streams: StreamCount) -> Vec<u64> {
        self.streams = streams;
        match streams {
            StreamCount::One => self.conclude(|_| true),
            StreamCount::Opening | StreamCount::Two => Vec::new(),
        }
    }

    /// Handles the end marker of a request. Returns whether an answer would have arrived by now.
    pub(super) fn on_end_marker(&mut self, id: u64, on: StreamType) -> bool {
        let Some(tracked) = self.tracked.get_mut(&id) else {
            return false;
        };
        let is_after_answer = on == StreamType::Data1 && tracked.over_two;
        if self.streams == StreamCount::One || is_after_answer {
            self.close(id);
            return true;
        }
        if tracked.marker.is_none() {
            tracked.marker = Some(ArrivedMarker { on, fence: None });
            self.marked.insert(id);
            self.unfenced.insert(id);
        }
        false
    }

    /// Returns whether a ping must be sent after an end marker that has arrived. Always `false`
    /// with one stream.
    pub(super) fn wants_fence(&self) -> bool {
        self.streams == StreamCount::Two && !self.unfenced.is_empty()
    }

    /// Records a ping that is sent for all requests whose end marker has arrived, except those with
    /// an open ping.
    pub(super) fn on_fence(&mut self, nonce: u64) {
        self.unfenced.clear();
        for id in &self.marked {
            if let Some(marker) = marker_of(&mut self.tracked, *id) {
                marker.fence.get_or_insert(nonce);
            }
        }
    }

    /// Handles a pong. Returns the requests whose answer would have arrived by now.
    ///
    /// The peer sends the answer before the marker, and so before the pong. If marker and pong have
    /// arrived over different streams, the answer has arrived over neither. If they have arrived
    /// over the same stream, the other one may still carry the answer.
    #[must_use = "the requests must be ended"]
    pub(super) fn on_pong(&mut self, nonce: u64, from: StreamType) -> Vec<u64> {
        self.conclude(|marker| {
            let is_fence = marker.fence.take_if(|fence| *fence == nonce).is_some();
            is_fence && from != marker.on
        })
    }

    /// Removes and returns the marked requests for which `is_over` returns `true`.
    fn conclude(&mut self, mut is_over: impl FnMut(&mut ArrivedMarker) -> bool) -> Vec<u64> {
        let tracked = &mut self.tracked;
        let mut is_over = |id: &u64| marker_of(tracked, *id).is_some_and(&mut is_over);
        let over: Vec<u64> = self
            .marked
            .iter()
            .copied()
            .filter(|id| is_over(id))
            .collect();
        for id in &over {
            self.close(*id);
        }
        over
    }
}

fn marker_of(tracked: &mut BTreeMap<u64, Tracked>, id: u64) -> Option<&mut ArrivedMarker> {
    tracked.get_mut(&id)?.marker.as_mut()
}
