//! Attaches an inbound connection to a connected peer as its second stream (`createstrm`).

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::peer_connection::PeerConnection;
use super::peer_streams::PeerStream;
use super::second::NotBegun;
use super::second_life::{self, Beginning};
use crate::connection::message_reader::MessageReader;
use crate::connection::outbox::Outbox;
use crate::session::{DisconnectReason, StreamError};
use crate::wire::{AssociationId, CreateStrm, StreamAck, StreamPolicy, StreamType};

/// The maximum time until the first connection is ready for a second stream. Its last messages may
/// still be in transit.
const READY: Duration = Duration::from_secs(5);
/// The interval at which the readiness is checked.
const LOOK: Duration = Duration::from_millis(5);

/// Why attaching a connection failed.
pub(super) enum NotBecome {
    /// The request is invalid. The peer receives a `reject`.
    Fault(StreamError),
    /// The connection was closed, or spawning the thread of the stream failed.
    Ended(DisconnectReason),
}

/// Waits until all events that precede the second stream of `peer` have been emitted. Returns
/// immediately if `peer` expects no stream.
fn await_readiness(newcomer: &PeerConnection, peer: &PeerConnection) -> Result<(), NotBecome> {
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

/// Hands the socket of `newcomer` to the peer named in `request`, with the frames received after
/// it.
///
/// Follows `ProcessCreateStreamMessage` of Bitcoin SV node 1.2.2 (`src/net/net_processing.cpp`).
/// Blocks for a few seconds at most.
pub(super) fn hand_over(
    newcomer: &PeerConnection,
    link: &PeerStream,
    reader: &mut MessageReader,
    request: &CreateStrm,
) -> Result<(), NotBecome> {
    let fault = |fault| Err(NotBecome::Fault(fault));
    let AssociationId::Uuid(id) = request.association_id else {
        return fault(StreamError::NullAssociation);
    };
    let Some(peer) = newcomer.associations.find(id) else {
        return fault(StreamError::UnknownAssociation);
    };
    let ip = |peer: &PeerConnection| peer.address.ip().to_canonical();
    if ip(&peer) != ip(newcomer) {
        return fault(StreamError::AddressMismatch);
    }
    let policy = match request.stream_policy.as_bytes() {
        // An empty name keeps the current policy, which is the default.
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
    let begun = peer.second.begin(|stop| {
        // After this, the owner of `newcomer` can no longer shut the socket down.
        if let Err(reason) = link.outbox.let_go(DisconnectReason::AttachedAsStream) {
            ended = Some(reason);
            return Err(io::ErrorKind::NotConnected.into());
        }
        let config = peer.config();
        let outbox = Outbox::new(link.stream.clone(), &config, peer.second_counters());
        // The peer may send right after its request.
        peer.requests.on_opening_stream();
        // The `streamack` must be the first message on the stream. A failed write is detected by
        // the reader.
        let answer = StreamAck {
            association_id: request.association_id,
            stream_type: request.stream_type,
        };
        let _ = outbox.reply(&[answer.into()]);
        let link = Arc::new(PeerStream {
            kind: request.stream_type,
            stream: link.stream.clone(),
            outbox,
        });
        let empty = MessageReader::new(&newcomer.config(), newcomer.counters.clone());
        let beginning = Beginning::Taken {
            link: link.clone(),
            frames: Box::new(std::mem::replace(reader, empty).into_frames()),
            policy,
        };
        let thread = second_life::spawn(&peer, stop, beginning)?;
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
