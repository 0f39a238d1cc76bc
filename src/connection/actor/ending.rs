//! End of a connection: schedules a restart or emits the final event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;

use super::peer_connection::PeerConnection;
use crate::connection::records::Logged;
use crate::connection::{ConnectionObserver, PendingRestart};
use crate::event::ControlEvent;
use crate::session::{Direction, DisconnectReason};

/// Handles the end of a run: schedules a restart or emits the final event. Called once per run, on
/// its thread.
pub(super) fn after_life(peer: &Arc<PeerConnection>, reason: DisconnectReason) {
    let connected_at = {
        let mut history = peer.history.lock();
        history.last_error = Some(reason.clone());
        history.connected.take().map(|(at, _)| at)
    };
    let Some((observer, after)) = next_life(peer, &reason, connected_at) else {
        return end(peer, reason, connected_at.is_some());
    };
    let due = Instant::now() + after;
    let record = peer.log(Level::Info).error(&reason);
    if after.is_zero() {
        record.write(format_args!("reconnecting immediately"));
    } else {
        record.write(format_args!("reconnecting in {after:.1?}"));
    }
    peer.events
        .publish_control(&ControlEvent::ConnectionRestarting {
            peer_id: peer.peer_id,
            address: peer.address,
            reason: reason.clone(),
            after,
        });
    if peer.stages.wait_for_next(|| peer.is_stopped()) {
        observer.on_restart_scheduled(due, reason, PendingRestart::new(peer.clone()));
    } else {
        give_up(peer, reason);
    }
}

/// Ends a connection that was attached to another peer before any event. Emits no event.
pub(super) fn after_unseen_life(peer: &PeerConnection, reason: DisconnectReason) {
    peer.history.lock().last_error = Some(reason.clone());
    over(peer, reason);
}

/// Returns the observer and the delay before the restart, or `None` for no restart.
fn next_life<'a>(
    peer: &'a PeerConnection,
    reason: &DisconnectReason,
    connected_at: Option<Instant>,
) -> Option<(&'a dyn ConnectionObserver, Duration)> {
    let observer = peer.observer.as_deref()?;
    let after = observer.restart_delay(reason, connected_at);
    Some((observer, after.filter(|_| !peer.is_stopped())?))
}

/// Cancels a scheduled restart, if there is one, and emits the final event.
pub(in crate::connection) fn stop_waiting(peer: &PeerConnection, reason: DisconnectReason) {
    if let Some(thread) = peer.stages.take_waiting() {
        peer.stop(reason.clone());
        peer.stages.keep_thread(thread);
        give_up(peer, reason);
    }
}

/// Emits the final event of a connection whose announced restart does not happen.
///
/// Exactly one thread must call this: that of the last run, or the one that took the connection out
/// of its wait.
pub(in crate::connection) fn give_up(peer: &PeerConnection, reason: DisconnectReason) {
    let reason = peer.stop_reason().cloned().unwrap_or(reason);
    end(peer, reason, false);
}

fn end(peer: &PeerConnection, reason: DisconnectReason, was_connected: bool) {
    let (peer_id, address) = (peer.peer_id, peer.address);
    let event = match reason.clone() {
        reason if was_connected => ControlEvent::ConnectionLost {
            peer_id,
            address,
            reason,
        },
        DisconnectReason::AtCapacity if peer.direction == Direction::Inbound => {
            ControlEvent::ConnectionRejectedCapacity { peer_id, address }
        }
        reason => ControlEvent::ConnectionFailed {
            peer_id,
            address,
            reason,
        },
    };
    peer.events.publish_control(&event);
    peer.events.report_lag(true);
    over(peer, reason);
}

fn over(peer: &PeerConnection, reason: DisconnectReason) {
    peer.stages.end();
    peer.notify_progress();
    if let Some(observer) = &peer.observer {
        observer.on_closed(reason);
    }
}
