//! The one question for addresses.
//!
//! A node answers `getaddr` once, after half a minute on average, and only whoever has dialled it. An `addr` of a single entry may
//! come before: the node's own address, or one that it passes on (`src/net/net_processing.cpp`).

use super::questions::{Questions, Waiter};
use crate::session::DisconnectReason;
use crate::wire::TimestampedAddress;

#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// With the last entry that came alone: the answer if no longer list comes.
    open: Questions<Option<TimestampedAddress>, Vec<TimestampedAddress>>,
    sent: bool,
}

impl Addresses {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn are_asked(&self) -> bool {
        self.sent || self.open.len() > 0
    }

    pub(super) fn ask(&mut self, id: u64, waiter: Waiter<Vec<TimestampedAddress>>) {
        self.open.open(id, None, waiter);
    }

    pub(super) fn on_sent(&mut self) {
        self.sent = true;
    }

    pub(super) fn on_addr(&mut self, addresses: &[TimestampedAddress]) -> bool {
        if let [alone] = addresses {
            for (_, last) in self.open.iter_mut() {
                *last = Some(*alone);
            }
            return false;
        }
        let Some(id) = self.open.first(|_| true) else {
            return false;
        };
        self.open.end(id, Ok(addresses.to_vec()));
        true
    }

    pub(super) fn give_up(&mut self, id: u64) {
        if let Some((Some(alone), waiter)) = self.open.take(id) {
            waiter.answer(Ok(vec![alone]));
        }
    }

    pub(super) fn withdraw(&mut self, id: u64) {
        self.open.take(id);
    }

    pub(super) fn close(&mut self, reason: &DisconnectReason) {
        self.open.close(reason);
    }
}
