//! The open requests of a connection, shared by its threads and all callers.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::connection::message_reader::Received;
use crate::connection::requests::Requests;
use crate::connection::waker::StreamWakers;
use crate::session::{DisconnectReason, ObjectCount, Session};
use crate::wire::{BlockHeader, Message, StreamType};

/// The request table with its lock, which is held for one call and never during a wait.
pub(super) struct RequestTable {
    table: Box<Mutex<Requests>>,
    /// The number of open requests, readable without the lock.
    open: AtomicUsize,
    /// The number of block reader requests whose block has not started to arrive.
    block_readers: AtomicUsize,
    /// Whether a request needs a ping after its end marker.
    wants_fence: AtomicBool,
    /// The objects that open requests wait for.
    open_objects: AtomicObjectCount,
    /// The objects that requests waited for when they ended, until the session is informed.
    late_objects: AtomicObjectCount,
    /// Wakes the stream threads when a request is opened.
    wakers: StreamWakers,
    /// Held from the entry of a request in the table until it is sent, if responses are matched by
    /// the order of requests.
    send_lock: Mutex<()>,
    /// Has one element while a header request is open: see [`HeadersLock`].
    headers_lock: (Sender<()>, Receiver<()>),
}

/// The right to send a header request, which one caller has at a time. Dropping it releases it.
pub(super) struct HeadersLock {
    taken: Receiver<()>,
}

impl Drop for HeadersLock {
    fn drop(&mut self) {
        // Only the holder of the lock removes the element, so it is present.
        let _ = self.taken.try_recv();
    }
}

impl RequestTable {
    /// Creates an empty table. `wakers` are those of the stream threads of the connection.
    pub(super) fn new(genesis: &BlockHeader, wakers: StreamWakers) -> Self {
        Self {
            table: new_requests(genesis),
            open: AtomicUsize::new(0),
            block_readers: AtomicUsize::new(0),
            wants_fence: AtomicBool::new(false),
            open_objects: AtomicObjectCount::default(),
            late_objects: AtomicObjectCount::default(),
            wakers,
            send_lock: Mutex::new(()),
            headers_lock: bounded(1),
        }
    }

    /// Returns whether a request is open. Does not lock.
    pub(super) fn any(&self) -> bool {
        self.open.load(SeqCst) > 0
    }

    /// Returns whether a block reader waits for its block to start. Does not lock.
    pub(super) fn any_block_reader(&self) -> bool {
        self.block_readers.load(SeqCst) > 0
    }

    /// Returns whether a request needs a ping. See [`RequestTable::on_fence`]. Does not lock.
    pub(super) fn wants_fence(&self) -> bool {
        self.wants_fence.load(SeqCst)
    }

    /// Informs the session about the objects of requests. Does not lock the table.
    pub(super) fn update_expected(&self, session: &mut Session) {
        // An object that becomes late in between counts twice until the next call.
        let open = self.open_objects.load();
        session.set_open_objects(open, self.late_objects.take());
    }

    /// Calls `call` with the locked table and updates the values that are readable without the
    /// lock.
    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Requests) -> T) -> T {
        let mut table = self.table.lock();
        let result = call(&mut table);
        self.late_objects.add(table.take_late_objects());
        self.open_objects.store(table.open_objects());
        let open = table.open();
        self.block_readers.store(table.block_readers(), SeqCst);
        self.wants_fence.store(table.wants_fence(), SeqCst);
        if self.open.swap(open, SeqCst) < open {
            self.wakers.wake_all();
        }
        result
    }

    /// Returns whether a message may answer a request and must be passed to
    /// [`RequestTable::on_received`]. Locks nothing.
    pub(super) fn may_answer(&self, message: &Message) -> bool {
        match message {
            Message::Headers(_) | Message::Block(_) | Message::Tx(_) | Message::Addr(_) => {
                self.any()
            }
            // It may contain the end marker of a cancelled request.
            Message::NotFound(_) => true,
            _ => false,
        }
    }

    /// Handles a message or a discarded payload. Returns the part that answers no request, if any.
    pub(super) fn on_received(&self, received: Received, from: StreamType) -> Option<Received> {
        self.with(|table| table.on_received(received, from))
    }

    pub(super) fn on_pong(&self, nonce: u64, round_trip: Duration, from: StreamType) {
        self.with(|table| table.on_pong(nonce, round_trip, from));
    }

    /// Records the nonce of a ping that will be sent for all requests that need one.
    pub(super) fn on_fence(&self, nonce: u64) {
        self.with(|table| table.on_fence(nonce));
    }

    /// Records that the peer may send over a second stream from now on. See
    /// [`Requests::on_stream_opening`].
    pub(super) fn on_stream_opening(&self) {
        self.with(Requests::on_stream_opening);
    }

    /// Records that a second stream is open and used. [`RequestTable::wants_fence`] must be checked
    /// afterwards.
    pub(super) fn on_stream_open(&self) {
        self.with(Requests::on_stream_open);
    }

    /// Records that there is no second stream.
    pub(super) fn on_stream_failed(&self) {
        self.with(Requests::on_stream_failed);
    }

    pub(super) fn close(&self, reason: &DisconnectReason) {
        self.with(|table| table.close(reason));
    }

    /// Waits for the right to send requests whose order matters. Returns `None` if others have it
    /// until `deadline`.
    pub(super) fn send_lock(&self, deadline: Instant) -> Option<MutexGuard<'_, ()>> {
        self.send_lock.try_lock_until(deadline)
    }

    /// Waits for the right to request headers. Returns `None` if others have it until `deadline`.
    pub(super) fn headers_lock(&self, deadline: Instant) -> Option<HeadersLock> {
        let (sender, taken) = &self.headers_lock;
        sender.send_deadline((), deadline).ok()?;
        let taken = taken.clone();
        Some(HeadersLock { taken })
    }
}

/// An [`ObjectCount`] that is readable without a lock.
#[derive(Default)]
struct AtomicObjectCount {
    blocks: AtomicU64,
    transactions: AtomicU64,
}

impl AtomicObjectCount {
    fn load(&self) -> ObjectCount {
        ObjectCount {
            blocks: self.blocks.load(SeqCst),
            transactions: self.transactions.load(SeqCst),
        }
    }

    fn store(&self, count: ObjectCount) {
        self.blocks.store(count.blocks, SeqCst);
        self.transactions.store(count.transactions, SeqCst);
    }

    fn add(&self, count: ObjectCount) {
        if !count.is_zero() {
            self.blocks.fetch_add(count.blocks, SeqCst);
            self.transactions.fetch_add(count.transactions, SeqCst);
        }
    }

    fn take(&self) -> ObjectCount {
        if self.load().is_zero() {
            return ObjectCount::default();
        }
        ObjectCount {
            blocks: self.blocks.swap(0, SeqCst),
            transactions: self.transactions.swap(0, SeqCst),
        }
    }
}

/// Creates the table on the heap, with a random seed for the end markers of requests.
///
/// Not inlined, like [`ActiveConnection::new`](super::active_connection::ActiveConnection::new).
#[inline(never)]
fn new_requests(genesis: &BlockHeader) -> Box<Mutex<Requests>> {
    let seed = Uuid::new_v4().into_bytes();
    Box::new(Mutex::new(Requests::new(genesis.hash(), seed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::requests::Failure;
    use crate::event::SharedMessage;
    use crate::network::Network;
    use crate::wire::{BlockHash, NotFound, Ping};

    fn requests() -> (RequestTable, StreamWakers) {
        let (genesis, wakers) = (BlockHeader::genesis(&Network::Regtest), StreamWakers::new());
        (RequestTable::new(&genesis, wakers.clone()), wakers)
    }

    #[test]
    fn open_request_is_visible_and_selectable() {
        let (requests, wakers) = requests();
        let signal = wakers.of(StreamType::General).signal();
        assert!(!requests.any() && signal.is_empty());
        let [one, other] = [1, 2].map(|nonce| {
            let opened = requests.with(|table| table.open_ping(Ping::new(nonce)));
            opened.unwrap().0
        });
        assert!(requests.any());
        assert_eq!(signal.try_iter().count(), 1);
        requests.on_pong(1, Duration::ZERO, StreamType::General);
        assert_eq!(one.answer.try_recv(), Ok(Ok(Duration::ZERO)));
        assert!(requests.any() && signal.is_empty());
        requests.with(|table| table.cancel(other.id));
        assert!(!requests.any() && signal.is_empty());
    }

    #[test]
    fn fence_ping_is_due_until_sent() {
        let (requests, _) = requests();
        requests.on_stream_opening();
        let hash = BlockHash::ZERO;
        let (ticket, messages) = requests.with(|table| table.open_block(hash)).unwrap();
        let [Message::GetData(getdata)] = &messages[..] else {
            panic!("{messages:?}");
        };
        let end = NotFound::from(getdata.inventory[1..].to_vec());
        let end = Received::Message(SharedMessage::new(end.into(), 77));
        assert!(requests.on_received(end, StreamType::General).is_none());
        assert!(!requests.wants_fence());
        requests.on_stream_open();
        assert!(requests.wants_fence());
        requests.on_fence(7);
        assert!(!requests.wants_fence());
        requests.on_pong(7, Duration::ZERO, StreamType::Data1);
        let not_found = ticket.answer.try_recv().unwrap();
        assert_eq!(not_found, Err(Failure::NotFound(hash)));
    }
}
