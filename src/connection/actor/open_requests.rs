//! The open requests of a connection, shared by its thread and all who ask.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::connection::inlet::Received;
use crate::connection::requests::Requests;
use crate::session::DisconnectReason;
use crate::wire::{BlockHash, BlockHeader, Message, StreamType};

/// The table behind its lock, which is held for one call and never while anything is waited for.
pub(super) struct OpenRequests {
    genesis: BlockHash,
    table: Mutex<Requests>,
    /// How many requests are open: to be asked without the lock.
    open: AtomicUsize,
    /// How many of them read a block while it arrives, and wait for it to begin.
    block_readers: AtomicUsize,
    /// Told when a request is opened.
    opened: (Sender<()>, Receiver<()>),
    /// Held from entering a question in the table until it is sent, where answers are told apart by the order in which
    /// they were asked for.
    sending: Mutex<()>,
    /// Held by whoever asks for headers, from the question to the end.
    headers: Mutex<()>,
}

impl OpenRequests {
    pub(super) fn new(genesis: &BlockHeader) -> Self {
        let genesis = genesis.hash();
        Self {
            genesis,
            table: Mutex::new(empty_table(genesis)),
            open: AtomicUsize::new(0),
            block_readers: AtomicUsize::new(0),
            opened: bounded(1),
            sending: Mutex::new(()),
            headers: Mutex::new(()),
        }
    }

    /// Another connection to the same peer begins: what the last one was asked is no matter any more.
    pub(super) fn renew(&self) {
        *self.table.lock() = empty_table(self.genesis);
    }

    /// Whether somebody waits for an answer. Costs nothing.
    pub(super) fn any(&self) -> bool {
        self.open.load(SeqCst) > 0
    }

    /// Whether somebody waits for a block to begin. Costs nothing.
    pub(super) fn any_block_reader(&self) -> bool {
        self.block_readers.load(SeqCst) > 0
    }

    /// How many requests are open.
    pub(super) fn count(&self) -> &AtomicUsize {
        &self.open
    }

    /// Gets something when a request has been opened since it last did: whoever waits for something else looks again then.
    pub(super) fn opened(&self) -> &Receiver<()> {
        &self.opened.1
    }

    /// Enters something in the table, or asks it.
    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Requests) -> T) -> T {
        let mut table = self.table.lock();
        let result = call(&mut table);
        let open = table.open();
        self.block_readers.store(table.block_readers(), SeqCst);
        if self.open.swap(open, SeqCst) < open {
            // Full means that it is told already.
            let _ = self.opened.0.try_send(());
        }
        result
    }

    /// Whether a message may answer a question: then [`OpenRequests::on_received`] is to be asked. Costs next to nothing.
    pub(super) fn may_concern(&self, message: &Message) -> bool {
        match message {
            Message::Headers(_) | Message::Block(_) | Message::Tx(_) | Message::Addr(_) => {
                self.any()
            }
            // It may be the end of an answer for which nobody waits any more.
            Message::NotFound(_) => true,
            _ => false,
        }
    }

    /// Something has come. What answers no question is given back.
    pub(super) fn on_received(&self, received: Received, _from: StreamType) -> Option<Received> {
        self.with(|table| table.on_received(received))
    }

    pub(super) fn on_pong(&self, nonce: u64, round_trip: Duration, _from: StreamType) {
        self.with(|table| table.on_pong(nonce, round_trip));
    }

    pub(super) fn on_second_stream(&self) {}

    pub(super) fn wants_fence(&self) -> bool {
        false
    }

    pub(super) fn on_fence(&self, _nonce: u64) {}

    pub(super) fn close(&self, reason: &DisconnectReason) {
        self.with(|table| table.close(reason));
    }

    /// The right to send questions whose order counts; `None` if it was not to be had until `deadline`.
    pub(super) fn sending(&self, deadline: Instant) -> Option<MutexGuard<'_, ()>> {
        self.sending.try_lock_until(deadline)
    }

    /// The right to ask for headers; `None` if it was not to be had until `deadline`.
    pub(super) fn headers(&self, deadline: Instant) -> Option<MutexGuard<'_, ()>> {
        self.headers.try_lock_until(deadline)
    }
}

fn empty_table(genesis: BlockHash) -> Requests {
    Requests::new(genesis, Uuid::new_v4().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;

    #[test]
    fn it_can_be_asked_and_selected_on_whether_a_request_is_open() {
        let requests = OpenRequests::new(&BlockHeader::genesis(Network::Regtest));
        assert!(!requests.any() && requests.opened().is_empty());
        let one = requests.with(|table| table.ask_ping(1)).unwrap();
        let other = requests.with(|table| table.ask_ping(2)).unwrap();
        assert!(requests.any());
        assert_eq!(requests.opened().try_iter().count(), 1);
        requests.on_pong(1, Duration::ZERO, StreamType::General);
        assert_eq!(one.answer.try_recv(), Ok(Ok(Duration::ZERO)));
        assert!(requests.any() && requests.opened().is_empty());
        requests.with(|table| table.give_up(other.id));
        assert!(!requests.any() && requests.opened().is_empty());
    }
}
