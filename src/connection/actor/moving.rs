//! Waiting for the answer of a peer that goes on sending.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::handle::PeerConnectionHandle;
use super::patience::Patience;
use crate::connection::progress::deadline_after;

/// How many times within the time that a peer may stand still it is looked at.
const LOOKS: u32 = 10;

/// Why an answer is waited for no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The caller's time is over.
    Deadline,
    /// For so long no byte of a large message has come, nor the answer.
    StoodStill(Duration),
}

impl PeerConnectionHandle {
    /// Waits for an answer until the caller's time is over, or, if the caller has a limit for that, until the peer has stood still for so
    /// long. A peer moves while the bytes of a frame come that is not complete yet: small messages that are complete at each look do not
    /// count, or one that only says that it is there would be waited for.
    pub(super) fn receive<T>(
        &self,
        answer: &Receiver<T>,
        patience: Patience,
    ) -> Result<T, GivenUp> {
        let Some(stall) = patience.stall else {
            let received = answer.recv_deadline(patience.deadline);
            return received.map_err(|_| GivenUp::Deadline);
        };
        let mut seen = self.shared.counters.unfinished();
        let mut still_until = deadline_after(stall);
        loop {
            let next_look = deadline_after(stall / LOOKS);
            let until = patience.deadline.min(still_until).min(next_look);
            match answer.recv_deadline(until) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => return Err(GivenUp::Deadline),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if now >= patience.deadline {
                return Err(GivenUp::Deadline);
            }
            let unfinished = self.shared.counters.unfinished();
            if unfinished > seen {
                still_until = deadline_after(stall);
            }
            seen = unfinished;
            if now >= still_until {
                return Err(GivenUp::StoodStill(stall));
            }
        }
    }
}
