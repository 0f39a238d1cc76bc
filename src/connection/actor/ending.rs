//! What comes after a life: another one, or the last event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use parking_lot::MutexGuard;

use super::records;
use super::shared::Shared;
use crate::connection::event_bus::Delivery;
use crate::connection::{Keeper, NextLife};
use crate::error::WithSources;
use crate::event::ControlEvent;
use crate::session::{Direction, DisconnectReason};
use crate::wire::StreamType;

/// A life has ended: tells of it, and sees to the next if there shall be one. Called once for each life, in its thread.
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
    let error = WithSources(&reason);
    if after.is_zero() {
        let text = format_args!("reconnecting immediately");
        records::write(shared, Level::Info, Some(&error), text);
    } else {
        let text = format_args!("reconnecting in {after:.1?}");
        records::write(shared, Level::Info, Some(&error), text);
    }
    let signals = shared.signals(StreamType::General, &shared.stop);
    let event = ControlEvent::ConnectionRestarting {
        peer_id: shared.peer_id,
        address: shared.address,
        reason: reason.clone(),
        after,
    };
    delivery.control(event, &signals);
    // What subscribers do not take by then waits for the next life.
    delivery.settle(after, &signals);
    drop(delivery);
    if shared.stages.wait_for_next(|| shared.is_stopped()) {
        keeper.on_waiting(due, reason, NextLife::of(shared.clone()));
    } else {
        give_up(shared, reason);
    }
}

/// The same of one that nobody has heard of: it has become a stream of another one.
pub(super) fn after_unseen_life(
    shared: &Shared,
    mut delivery: MutexGuard<'_, Delivery>,
    reason: DisconnectReason,
) {
    shared.history.lock().last_error = Some(reason.clone());
    delivery.finish(&shared.signals(StreamType::General, &shared.stop));
    over(shared, delivery, reason);
}

/// Who begins the next life, and after which pause; `None` if there shall be none.
fn next_life<'a>(
    shared: &'a Shared,
    reason: &DisconnectReason,
    connected_at: Option<Instant>,
) -> Option<(&'a dyn Keeper, Duration)> {
    let keeper = shared.keeper.as_deref()?;
    let after = keeper.pause_before_next(reason, connected_at);
    Some((keeper, after.filter(|_| !shared.is_stopped())?))
}

/// Sees to it that a connection which waits for its next life has none.
pub(in crate::connection) fn stop_waiting(shared: &Shared, reason: DisconnectReason) {
    if let Some(thread) = shared.stages.take_waiting() {
        // No subscriber is waited for any more either.
        shared.stop.set(reason.clone());
        shared.stages.keep_thread(thread);
        give_up(shared, reason);
    }
}

/// The next life was announced and will not be: the connection's last event. To be called by whoever has taken the connection out of its
/// wait.
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
