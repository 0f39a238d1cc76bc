//! Main loop of the supervisor thread.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select};

use super::supervised_observer::ScheduledRestart;
use crate::connection::ConnectionSlots;
use crate::peers::PeerId;

/// The delay before a restart is retried if no slot or no thread was available.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// The pending restarts, ordered by due time.
type Waiting = BTreeMap<(Instant, PeerId), ScheduledRestart>;

/// Restarts connections when they are due, until the sender of `stopped` is dropped.
///
/// Restarts that are still pending then are dropped, which closes their connections.
pub(super) fn run(ends: &Receiver<ScheduledRestart>, stopped: &Receiver<Infallible>) {
    let mut waiting = Waiting::new();
    loop {
        let due = match waiting.first_key_value() {
            Some(((due, _), _)) => at(*due),
            None => never(),
        };
        select! {
            recv(ends) -> restart => match restart {
                Ok(restart) => schedule(&mut waiting, restart),
                Err(_) => return,
            },
            recv(due) -> _ => {}
            recv(stopped) -> _ => return,
        }
        let now = Instant::now();
        while let Some(entry) = waiting.first_entry()
            && entry.key().0 <= now
        {
            if let Some(later) = start(entry.remove()) {
                schedule(&mut waiting, later);
            }
        }
    }
}

fn schedule(waiting: &mut Waiting, restart: ScheduledRestart) {
    // Stopped connections are removed here, so that they are not held until they are due.
    waiting.retain(|_, restart| restart.next.is_pending());
    waiting.insert((restart.due, restart.next.peer_id()), restart);
}

/// Starts a pending restart. Returns it with a later due time if no slot or thread is available.
fn start(restart: ScheduledRestart) -> Option<ScheduledRestart> {
    let ScheduledRestart { next, slots, .. } = restart;
    let slot = slots.as_ref().map(ConnectionSlots::reserve);
    let next = match slot {
        Some(None) => next,
        slot => next.start(slot.flatten()).err()?,
    };
    let due = Instant::now() + NO_ROOM_PAUSE;
    next.is_pending()
        .then_some(ScheduledRestart { due, next, slots })
}
