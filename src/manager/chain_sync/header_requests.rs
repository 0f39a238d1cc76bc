//! Questions for headers, each in a thread of its own: the chain's thread listens meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, never};

use super::header_scheduler::MAX_REQUESTS;
use crate::connection::PeerConnectionHandle;
use crate::error::Error;
use crate::wire::{BlockHash, BlockHeader};

/// How long an answer may take in all …
const TIMEOUT: Duration = Duration::from_secs(60);
/// … and how long no byte of it may come.
const STALL: Duration = Duration::from_secs(10);

/// What a peer answered.
pub(super) struct Answered {
    /// Which question it was.
    number: u64,
    pub(super) peer: Arc<PeerConnectionHandle>,
    /// The locator's first hash.
    pub(super) from: BlockHash,
    pub(super) headers: Result<Vec<BlockHeader>, Error>,
}

/// The open questions: one for each peer at most, and few in all.
pub(super) struct HeaderRequests {
    open: HashMap<u64, JoinHandle<()>>,
    count: u64,
    sender: Sender<Answered>,
    pub(super) answers: Receiver<Answered>,
}

impl HeaderRequests {
    pub(super) fn new() -> Self {
        let (sender, answers) = bounded(MAX_REQUESTS);
        Self {
            open: HashMap::new(),
            count: 0,
            sender,
            answers,
        }
    }

    /// Asks a peer for what follows the locator. Returns whether there is a thread for it.
    pub(super) fn ask(&mut self, peer: Arc<PeerConnectionHandle>, locator: Vec<BlockHash>) -> bool {
        self.count += 1;
        let (number, sender) = (self.count, self.sender.clone());
        let ask = move || {
            let headers = peer.headers_unless_still(&locator, TIMEOUT, STALL);
            let from = locator.first().copied().unwrap_or_default();
            // At the end nobody wants to know.
            let _ = sender.send(Answered {
                number,
                peer,
                from,
                headers,
            });
        };
        let thread = thread::Builder::new().name("bsv-p2p headers".into());
        match thread.spawn(ask) {
            Ok(thread) => {
                self.open.insert(number, thread);
                true
            }
            Err(_) => false,
        }
    }

    /// A question has been answered: its thread has nothing left to do.
    pub(super) fn end(&mut self, answered: &Answered) {
        if let Some(thread) = self.open.remove(&answered.number) {
            // A panic has been printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for HeaderRequests {
    /// At the end of a manager all connections are closed, which ends all questions.
    fn drop(&mut self) {
        // Whoever still has an answer need not wait for room.
        self.answers = never();
        for (_, thread) in self.open.drain() {
            let _ = thread.join();
        }
    }
}
