//! Main loop of the supervisor thread.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select};

use super::keeper::Ended;
use crate::connection::ConnectionSlots;
use crate::peers::PeerId;

/// The delay before a restart is retried if no slot or no thread was available.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// The pending restarts, ordered by due time.
type Waiting = BTreeMap<(Instant, PeerId), Ended>;

/// Restarts connections when they are due, until the sender of `stopped` is dropped.
///
/// Restarts that are still pending then are dropped, which closes their connections.
pub(super) fn run(ends: &Receiver<Ended>, stopped: &Receiver<Infallible>) {
    let mut waiting = Waiting::new();
    loop {
        let due = match waiting.first_key_value() {
            Some(((due, _), _)) => at(*due),
            None => never(),
        };
        select! {
            recv(ends) -> ended => match ended {
                Ok(ended) => enter(&mut waiting, ended),
                Err(_) => return,
            },
            recv(due) -> _ => {}
            recv(stopped) -> _ => return,
        }
        let now = Instant::now();
        while let Some(entry) = waiting.first_entry()
            && entry.key().0 <= now
        {
            if let Some(later) = begin(entry.remove()) {
                enter(&mut waiting, later);
            }
        }
    }
}

fn enter(waiting: &mut Waiting, ended: Ended) {
    // Stopped connections are removed here, so that they are not held until they are due.
    waiting.retain(|_, ended| ended.next.is_pending());
    waiting.insert((ended.due, ended.next.peer_id()), ended);
}

/// Starts a pending restart. Returns it with a later due time if no slot or thread is available.
fn begin(ended: Ended) -> Option<Ended> {
    let Ended { next, slots, .. } = ended;
    let slot = slots.as_ref().map(ConnectionSlots::reserve);
    let next = match slot {
        Some(None) => next,
        slot => next.start(slot.flatten()).err()?,
    };
    let due = Instant::now() + NO_ROOM_PAUSE;
    next.is_pending().then_some(Ended { due, next, slots })
}
