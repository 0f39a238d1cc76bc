//! What comes after a life: another one, or the last event.

use std::sync::Arc;
use std::time::Instant;

use super::shared::Shared;
use crate::event::ControlEvent;
use crate::session::DisconnectReason;

/// A life has ended: tells of it, and sees to the next if there shall be one. Called once for each life, in its thread.
pub(super) fn after_life(shared: &Arc<Shared>, reason: DisconnectReason) {
    let connected_at = {
        let mut history = shared.history.lock();
        history.last_error = Some(reason.clone());
        history.connected.take().map(|(at, _)| at)
    };
    match next_life(shared, &reason, connected_at) {
        NextLife::Begins => {}
        NextLife::Forbidden => give_up(shared, reason),
        NextLife::None => end(shared, reason, connected_at.is_some()),
    }
}

/// What follows a life.
enum NextLife {
    /// The supervisor, or whoever stops the connection, sees to it.
    Begins,
    /// It was announced, and is not wanted any more.
    Forbidden,
    None,
}

fn next_life(
    shared: &Arc<Shared>,
    reason: &DisconnectReason,
    connected_at: Option<Instant>,
) -> NextLife {
    let Some(supervision) = &shared.supervision else {
        return NextLife::None;
    };
    let verdict = supervision.verdict(reason, connected_at);
    let Some(after) = verdict.pause().filter(|_| !shared.is_stopped()) else {
        return NextLife::None;
    };
    let next_life = Instant::now() + after;
    let event = ControlEvent::ConnectionRestarting {
        peer_id: shared.peer_id,
        address: shared.address,
        reason: reason.clone(),
        after,
    };
    shared.events.send_control(event, &shared.stop);
    if !shared.stages.wait_for_next(|| shared.is_stopped()) {
        return NextLife::Forbidden;
    }
    supervision.supervisor.begin_at(next_life, shared.clone());
    NextLife::Begins
}

/// Sees to it that a connection which waits for its next life has none.
pub(in crate::connection) fn stop_waiting(shared: &Shared, reason: DisconnectReason) {
    if let Some(thread) = shared.stages.take_waiting() {
        shared.stages.keep_thread(thread);
        give_up(shared, reason);
    }
}

/// The next life was announced and will not be: the connection's last event. To be called by whoever has taken the connection out of its
/// wait.
pub(in crate::connection) fn give_up(shared: &Shared, reason: DisconnectReason) {
    let reason = shared.stop.reason().unwrap_or(reason);
    end(shared, reason, false);
}

fn end(shared: &Shared, reason: DisconnectReason, was_connected: bool) {
    let (peer_id, address) = (shared.peer_id, shared.address);
    let event = match reason {
        reason if was_connected => ControlEvent::ConnectionLost {
            peer_id,
            address,
            reason,
        },
        DisconnectReason::OwnCapacity => {
            ControlEvent::ConnectionRejectedCapacity { peer_id, address }
        }
        reason => ControlEvent::ConnectionFailed {
            peer_id,
            address,
            reason,
        },
    };
    shared.events.send_control(event, &shared.stop);
    shared.stages.end();
}
