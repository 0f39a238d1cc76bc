//! The request for addresses.
//!
//! A node answers `getaddr` once, after 30 s on average, and only on connections that it accepted.
//! It may send an `addr` of one entry before: its own address, or a relayed one
//! (`src/net/net_processing.cpp`).

use super::questions::{Questions, Waiter};
use crate::session::DisconnectReason;
use crate::wire::TimestampedAddress;

#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// The open request, with the last address that arrived alone. That address is the answer if no
    /// other list arrives.
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
