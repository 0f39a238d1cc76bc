//! What tells the answers of different questions apart.

use std::collections::VecDeque;
use std::time::Duration;

use uuid::Uuid;

use crate::connection::inlet::Received;
use crate::wire::{Inventory, Message, Ping, Txid};

/// The pongs that a request waits for.
#[derive(Debug, Default)]
pub(super) struct Pongs {
    awaited: Vec<(Ping, Option<ArrivedPong>)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ArrivedPong {
    pub(super) round_trip: Duration,
    /// What came behind the pong is kept behind this place.
    pub(super) place: u64,
}

impl Pongs {
    pub(super) fn await_answer(&mut self, ping: Ping) {
        self.awaited.push((ping, None));
    }

    pub(super) fn on_pong(&mut self, nonce: u64, pong: ArrivedPong) {
        for (ping, arrived) in &mut self.awaited {
            if *ping == Ping::new(nonce) {
                *arrived = Some(pong);
            }
        }
    }

    pub(super) fn arrival(&self, ping: Ping) -> Option<ArrivedPong> {
        self.awaited.iter().find(|(awaited, _)| *awaited == ping)?.1
    }

    pub(super) fn forget(&mut self) {
        self.awaited.clear();
    }
}

/// Transactions that nobody has, by which the end of an answer is known.
#[derive(Debug, Default)]
pub(super) struct Markers {
    /// Those whose requests have ended before they came back.
    left: VecDeque<Inventory>,
}

impl Markers {
    /// How many are remembered: a peer that does not name them costs no more.
    const MAX_LEFT: usize = 64;

    pub(super) fn draw() -> Inventory {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        Inventory::Tx(Txid(hash))
    }

    pub(super) fn leave(&mut self, marker: Inventory) {
        if self.left.len() == Self::MAX_LEFT {
            self.left.pop_front();
        }
        self.left.push_back(marker);
    }

    /// Whether this is nothing but the late end of an answer that nobody waits for any more.
    pub(super) fn settles(&mut self, received: &Received) -> bool {
        let late = self
            .left
            .iter()
            .position(|marker| Self::is_alone(received, *marker));
        late.is_some_and(|at| self.left.remove(at).is_some())
    }

    pub(super) fn is_alone(received: &Received, marker: Inventory) -> bool {
        match received {
            Received::Message(Message::NotFound(missing), _) => missing.inventory == [marker],
            _ => false,
        }
    }
}
