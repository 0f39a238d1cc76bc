//! Prints control events.

use std::io;
use std::time::SystemTime;

use bsv_p2p::event::ControlEvent;
use serde_json::{Value, json};

use crate::milliseconds::milliseconds;
use crate::shared::{say, say_json, with_sources};

/// Prints an event on one line, as text or as a JSON object.
pub(crate) fn say_event(event: &ControlEvent, as_json: bool) -> io::Result<()> {
    if as_json {
        say_json(event.name(), &fields(event))
    } else {
        say(event)
    }
}

/// Returns the fields of an event. `peer` is present if the event belongs to a connection.
fn fields(event: &ControlEvent) -> Value {
    let mut object = json!({});
    if let Some((_, address)) = event.peer() {
        object["peer"] = address.to_string().into();
    }
    match event {
        ControlEvent::ConnectionEstablished { direction, .. } => {
            object["direction"] = direction.to_string().into();
        }
        ControlEvent::HandshakeComplete { info, .. } => {
            object["user_agent"] = info.user_agent.to_string().into();
            object["version"] = info.version.into();
            object["services"] = info.services.0.into();
            object["height"] = info.start_height.into();
        }
        ControlEvent::StreamOpened { stream, policy, .. } => {
            object["stream"] = stream.to_string().into();
            object["policy"] = policy.to_string().into();
        }
        ControlEvent::StreamRefused { error, .. } => {
            object["reason"] = with_sources(error).into();
        }
        ControlEvent::ConnectionRestarting { reason, after, .. } => {
            object["reason"] = with_sources(reason).into();
            object["after_ms"] = milliseconds(*after).into();
        }
        ControlEvent::ConnectionLost { reason, .. }
        | ControlEvent::ConnectionFailed { reason, .. } => {
            object["reason"] = with_sources(reason).into();
        }
        ControlEvent::PeerMisbehavior {
            misbehavior,
            score,
            count,
            ..
        } => {
            object["reason"] = with_sources(misbehavior).into();
            object["score"] = (*score).into();
            object["count"] = (*count).into();
        }
        ControlEvent::PeerBanned { peer, ban } => {
            object["peer"] = peer.map(|peer| peer.to_string()).into();
            object["subnet"] = ban.subnet.to_string().into();
            object["reason"] = ban.reason.to_string().into();
            // `null` means that the ban is permanent.
            object["duration_ms"] = ban.remaining(ban.since).map(milliseconds).into();
        }
        ControlEvent::InboundConnectionRejected { address, reason } => {
            object["peer"] = address.to_string().into();
            object["reason"] = reason.to_string().into();
        }
        ControlEvent::ListenerStarted { address } => {
            object["address"] = address.to_string().into();
        }
        ControlEvent::ListenerBindFailed {
            address,
            error,
            retry_after,
        } => {
            object["address"] = address.to_string().into();
            object["reason"] = with_sources(error).into();
            object["after_ms"] = milliseconds(*retry_after).into();
        }
        ControlEvent::LocalFault { operation, error } => {
            object["operation"] = operation.to_string().into();
            object["reason"] = with_sources(error).into();
        }
        ControlEvent::DiscoveryFailed {
            failures,
            retry_after,
        } => {
            let failures = failures.iter().map(|failure| with_sources(&failure.error));
            object["reasons"] = failures.collect::<Vec<_>>().into();
            object["after_ms"] = milliseconds(*retry_after).into();
        }
        ControlEvent::StoreFailed { error } => {
            object["reason"] = with_sources(error).into();
        }
        ControlEvent::HeaderStoreFailed { error } => {
            object["reason"] = with_sources(error).into();
        }
        ControlEvent::ChainSplit { fork_height, peers } => {
            let peers: Vec<_> = peers.iter().map(ToString::to_string).collect();
            object["fork_height"] = (*fork_height).into();
            object["peers"] = peers.into();
        }
        ControlEvent::TipStale { since } => {
            let unix = since.duration_since(SystemTime::UNIX_EPOCH);
            object["since"] = unix.unwrap_or_default().as_secs().into();
        }
        ControlEvent::PayloadDiscarded { command, len, .. } => {
            object["command"] = command.to_string().into();
            object["size_bytes"] = (*len).into();
        }
        ControlEvent::Lagged {
            subscription,
            missed,
        } => {
            object["subscription"] = (**subscription).into();
            object["missed"] = (*missed).into();
        }
        ControlEvent::SubscriptionEnded {
            subscription,
            reason,
        } => {
            object["subscription"] = (**subscription).into();
            object["reason"] = reason.to_string().into();
        }
        _ => {}
    }
    object
}
