//! A connection whose first message says that it is a further stream of a peer that is connected already.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::links::Link;
use super::second::NotBegun;
use super::second_life::{self, Beginning};
use super::shared::Shared;
use crate::connection::inlet::Inlet;
use crate::connection::outbox::Outbox;
use crate::session::{DisconnectReason, StreamError};
use crate::wire::{AssociationId, CreateStrm, StreamAck, StreamPolicy, StreamType};

/// How long the peer's own connection may take to be ready for a second one: its last messages may be on their way on that one.
const READY: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Why a connection becomes no stream.
pub(super) enum NotBecome {
    /// The peer is told.
    Fault(StreamError),
    /// The connection has ended meanwhile, or there is no thread.
    Ended(DisconnectReason),
}

/// Waits until all that comes before a second stream of the peer has been told, if it may have one.
fn await_readiness(newcomer: &Shared, peer: &Shared) -> Result<(), NotBecome> {
    let deadline = Instant::now() + READY;
    while peer.second.is_announced() {
        if Instant::now() >= deadline {
            return Err(NotBecome::Fault(StreamError::UnknownAssociation));
        }
        if newcomer.stop.wait(LOOK) {
            let reason = newcomer.stop.reason();
            return Err(NotBecome::Ended(
                reason.unwrap_or(DisconnectReason::Requested),
            ));
        }
    }
    Ok(())
}

/// Gives the socket of `newcomer`, and what has come behind `request`, to the peer that is asked for (Bitcoin SV node 1.2.2,
/// `src/net/net_processing.cpp`, `ProcessCreateStreamMessage`). Blocks at most for some seconds.
pub(super) fn hand_over(
    newcomer: &Shared,
    link: &Link,
    inlet: &mut Inlet,
    request: &CreateStrm,
) -> Result<(), NotBecome> {
    let fault = |fault| Err(NotBecome::Fault(fault));
    let AssociationId::Uuid(id) = request.association_id else {
        return fault(StreamError::NullAssociation);
    };
    let Some(peer) = newcomer.associations.find(id) else {
        return fault(StreamError::UnknownAssociation);
    };
    let ip = |shared: &Shared| shared.address.ip().to_canonical();
    if ip(&peer) != ip(newcomer) {
        return fault(StreamError::AddressMismatch);
    }
    let policy = match request.stream_policy.as_bytes() {
        // As it was: nobody has chosen another one.
        [] => StreamPolicy::Default,
        name => match StreamPolicy::from_name(name) {
            Some(policy) => policy,
            None => return fault(StreamError::UnknownPolicy),
        },
    };
    match request.stream_type {
        StreamType::Data1 => {}
        StreamType::General => return fault(StreamError::AlreadyOpen),
        // A node acknowledges DATA2 to DATA4. No policy routes messages to them and no node opens
        // them, so that they would only cost a socket and a thread each.
        _ => return fault(StreamError::TypeOutOfRange),
    }
    await_readiness(newcomer, &peer)?;
    let mut ended = None;
    let begun = peer.second.begin(|delivery, stop| {
        // From here on the newcomer's owner cannot shut the socket down any more.
        if let Err(reason) = link.outbox.let_go(DisconnectReason::AttachedAsStream) {
            ended = Some(reason);
            return Err(io::ErrorKind::NotConnected.into());
        }
        let config = peer.config();
        let outbox = Outbox::new(link.stream.clone(), &config, peer.second_counters());
        // Behind its request the peer may send at once.
        peer.requests.on_opening_stream();
        // Before anything else may be written to it. Whether it is taken shows when it is read.
        let answer = StreamAck {
            association_id: request.association_id,
            stream_type: request.stream_type,
        };
        let _ = outbox.reply(&[answer.into()]);
        let link = Arc::new(Link {
            kind: request.stream_type,
            stream: link.stream.clone(),
            outbox,
        });
        let empty = Inlet::new(&newcomer.config(), newcomer.counters.clone());
        let beginning = Beginning::Taken {
            link: link.clone(),
            frames: Box::new(std::mem::replace(inlet, empty).into_frames()),
            policy,
        };
        let thread = second_life::spawn(&peer, delivery, stop, beginning)?;
        Ok((Some(link), thread))
    });
    match begun {
        Ok(()) => Ok(()),
        Err(NotBegun::Closed | NotBegun::NotReady) => fault(StreamError::UnknownAssociation),
        Err(NotBegun::Taken) => fault(StreamError::AlreadyOpen),
        Err(NotBegun::Failed) => {
            peer.requests.on_no_second_stream();
            Err(NotBecome::Ended(
                ended.unwrap_or(DisconnectReason::AtCapacity),
            ))
        }
    }
}
