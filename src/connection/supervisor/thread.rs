//! What the supervisor's thread does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select};
use uuid::Uuid;

use super::ended::Ended;
use crate::connection::actor::{Shared, begin_life, give_up, stop_waiting};
use crate::connection::stop::Stop;
use crate::session::DisconnectReason;

/// How long a restart waits that found no slot or no thread.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// The connections that wait for their next life, the earliest first.
type Waiting = BTreeMap<(Instant, Uuid), Arc<Shared>>;

/// Opens connections again until `stop` is given.
pub(super) fn run(ends: &Receiver<Ended>, stop: &Stop) {
    let mut waiting = Waiting::new();
    loop {
        let due = match waiting.first_key_value() {
            Some(((next_life, _), _)) => at(*next_life),
            None => never(),
        };
        select! {
            recv(ends) -> ended => match ended {
                Ok(ended) => enter(&mut waiting, ended),
                Err(_) => return,
            },
            recv(due) -> _ => {}
            recv(stop.signal()) -> _ => break,
        }
        let now = Instant::now();
        while let Some(entry) = waiting.first_entry()
            && entry.key().0 <= now
        {
            let connection = entry.remove();
            begin(&mut waiting, connection);
        }
    }
    for connection in waiting.into_values() {
        stop_waiting(&connection, DisconnectReason::Shutdown);
    }
}

fn enter(waiting: &mut Waiting, ended: Ended) {
    let Some((next_life, connection)) = ended.take() else {
        return;
    };
    // Those that somebody has stopped are forgotten, so that none is held for long.
    waiting.retain(|_, connection| connection.stages.is_waiting());
    waiting.insert((next_life, connection.peer_id()), connection);
}

fn begin(waiting: &mut Waiting, connection: Arc<Shared>) {
    let Some(last_thread) = connection.stages.take_waiting() else {
        return;
    };
    if let Some(thread) = last_thread {
        // It has nothing left to do.
        let _ = thread.join();
    }
    let slot = connection.reserve();
    if let Ok(slot) = slot
        && connection.renew().is_ok()
        && begin_life(&connection, None, slot).is_ok()
    {
        connection.count_restart();
        return;
    }
    if connection.stages.wait_for_next(|| connection.is_stopped()) {
        let next_life = Instant::now() + NO_ROOM_PAUSE;
        waiting.insert((next_life, connection.peer_id()), connection);
    } else {
        give_up(&connection, DisconnectReason::Command);
    }
}
