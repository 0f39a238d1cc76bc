//! What the supervisor's thread does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select};

use super::keeper::Ended;
use crate::connection::ConnectionSlots;
use crate::connection::stop::Stop;
use crate::peers::PeerId;

/// How long a restart waits that found no slot or no thread.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// The connections that wait for their next life, the earliest first.
type Waiting = BTreeMap<(Instant, PeerId), Ended>;

/// Opens connections again until `stop` is given; those that still wait then are over.
pub(super) fn run(ends: &Receiver<Ended>, stop: &Stop) {
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
            recv(stop.signal()) -> _ => return,
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
    // Those that somebody has stopped are forgotten, so that none is held for long.
    waiting.retain(|_, ended| ended.next.is_wanted());
    waiting.insert((ended.due, ended.next.peer_id()), ended);
}

/// Begins a connection's next life; gives it back, for later, if there is no room now.
fn begin(ended: Ended) -> Option<Ended> {
    let Ended { next, slots, .. } = ended;
    let slot = slots.as_ref().map(ConnectionSlots::reserve);
    let next = match slot {
        Some(None) => next,
        slot => next.begin(slot.flatten()).err()?,
    };
    let due = Instant::now() + NO_ROOM_PAUSE;
    next.is_wanted().then_some(Ended { due, next, slots })
}
