//! End of a connection: schedules a restart or emits the final event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use parking_lot::MutexGuard;

use super::shared::Shared;
use crate::connection::event_bus::Delivery;
use crate::connection::records::Logged;
use crate::connection::{Keeper, NextLife};
use crate::event::ControlEvent;
use crate::session::{Direction, DisconnectReason};
use crate::wire::StreamType;

/// Handles the end of a run: schedules a restart or emits the final event. Called once per run, on
/// its thread.
pub(super) fn after_life(
    shared: &Arc<Shared>,
    mut delivery: MutexGuard<'_, Delivery>,
    reason: DisconnectReason,
) {
    let connected_at = {
        let mut history = shared.history.lock();
        history.last_error = Some(reason.clone());
        history.connected.take().map(|(at, _)| at)
    };
    let Some((keeper, after)) = next_life(shared, &reason, connected_at) else {
        return end(shared, delivery, reason, connected_at.is_some());
    };
    let due = Instant::now() + after;
    let record = shared.log(Level::Info).error(&reason);
    if after.is_zero() {
        record.write(format_args!("reconnecting immediately"));
    } else {
        record.write(format_args!("reconnecting in {after:.1?}"));
    }
    let signals = shared.signals(StreamType::General, &shared.stop);
    let event = ControlEvent::ConnectionRestarting {
        peer_id: shared.peer_id,
        address: shared.address,
        reason: reason.clone(),
        after,
    };
    delivery.control(event, &signals);
    // Events that subscribers do not receive by then are kept for the next run.
    delivery.settle(after, &signals);
    drop(delivery);
    if shared.stages.wait_for_next(|| shared.is_stopped()) {
        keeper.on_waiting(due, reason, NextLife::of(shared.clone()));
    } else {
        give_up(shared, reason);
    }
}

/// Ends a connection that was attached to another peer before any event. Emits no event.
pub(super) fn after_unseen_life(
    shared: &Shared,
    mut delivery: MutexGuard<'_, Delivery>,
    reason: DisconnectReason,
) {
    shared.history.lock().last_error = Some(reason.clone());
    delivery.finish(&shared.signals(StreamType::General, &shared.stop));
    over(shared, delivery, reason);
}

/// Returns the observer and the delay before the restart, or `None` for no restart.
fn next_life<'a>(
    shared: &'a Shared,
    reason: &DisconnectReason,
    connected_at: Option<Instant>,
) -> Option<(&'a dyn Keeper, Duration)> {
    let keeper = shared.keeper.as_deref()?;
    let after = keeper.pause_before_next(reason, connected_at);
    Some((keeper, after.filter(|_| !shared.is_stopped())?))
}

/// Cancels a scheduled restart, if there is one, and emits the final event.
pub(in crate::connection) fn stop_waiting(shared: &Shared, reason: DisconnectReason) {
    if let Some(thread) = shared.stages.take_waiting() {
        // The signal also ends the wait for subscribers.
        shared.stop.set(reason.clone());
        shared.stages.keep_thread(thread);
        give_up(shared, reason);
    }
}

/// Emits the final event of a connection whose announced restart does not happen.
///
/// Exactly one thread must call this: that of the last run, or the one that took the connection out
/// of its wait.
pub(in crate::connection) fn give_up(shared: &Shared, reason: DisconnectReason) {
    let reason = shared.stop.reason().unwrap_or(reason);
    end(shared, shared.delivery.lock(), reason, false);
}

fn end(
    shared: &Shared,
    mut delivery: MutexGuard<'_, Delivery>,
    reason: DisconnectReason,
    was_connected: bool,
) {
    let (peer_id, address) = (shared.peer_id, shared.address);
    let event = match reason.clone() {
        reason if was_connected => ControlEvent::ConnectionLost {
            peer_id,
            address,
            reason,
        },
        DisconnectReason::AtCapacity if shared.direction == Direction::Inbound => {
            ControlEvent::ConnectionRejectedCapacity { peer_id, address }
        }
        reason => ControlEvent::ConnectionFailed {
            peer_id,
            address,
            reason,
        },
    };
    let signals = shared.signals(StreamType::General, &shared.stop);
    delivery.control(event, &signals);
    delivery.finish(&signals);
    over(shared, delivery, reason);
}

fn over(shared: &Shared, delivery: MutexGuard<'_, Delivery>, reason: DisconnectReason) {
    drop(delivery);
    shared.stages.end();
    shared.notify_progress();
    if let Some(keeper) = &shared.keeper {
        keeper.on_over(reason);
    }
}
