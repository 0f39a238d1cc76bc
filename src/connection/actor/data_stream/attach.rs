//! Attaches an accepted socket to a connected peer as its data stream (`createstrm`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::peer_connection::PeerConnection;
use super::state::{DataStreamGuard, StartError};
use super::{StreamOrigin, run};
use crate::connection::AssociationRegistry;
use crate::connection::close_cell::CloseCell;
use crate::connection::stream::Stream;
use crate::deadline::deadline_after;
use crate::session::StreamError;
use crate::wire::{AssociationId, CreateStrm, FrameReader, StreamAck, StreamPolicy, StreamType};

/// The maximum time until the primary stream is ready for a data stream. Its last messages may
/// still be in transit.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a socket cannot be attached to a peer.
#[derive(Debug)]
pub(in crate::connection) enum AttachError {
    /// The request is invalid. The peer must receive a `reject`.
    Invalid(StreamError),
    /// The calling thread was stopped.
    Cancelled,
}

/// The right to run the data stream of a peer. Dropping it gives the stream up.
pub(in crate::connection) struct StreamClaim {
    peer: Arc<PeerConnection>,
    guard: DataStreamGuard,
    request: CreateStrm,
    policy: StreamPolicy,
}

/// Finds the peer that `request` names and claims its data stream for a socket from `address`.
///
/// Follows `ProcessCreateStreamMessage` of Bitcoin SV node 1.2.2 (`src/net/net_processing.cpp`).
/// Blocks for at most 5 s, until the handshake of the peer is complete. A reason in `close`, which
/// belongs to the calling thread, ends the wait.
///
/// Nothing is written. The caller must call [`StreamClaim::run`] with the socket.
///
/// # Errors
///
/// - [`AttachError::Invalid`] if the request must be rejected
/// - [`AttachError::Cancelled`] if `close` has a reason
pub(in crate::connection) fn claim_stream(
    registry: &AssociationRegistry,
    request: &CreateStrm,
    address: IpAddr,
    close: &CloseCell,
) -> Result<StreamClaim, AttachError> {
    let invalid = |error| Err(AttachError::Invalid(error));
    let AssociationId::Uuid(id) = request.association_id else {
        return invalid(StreamError::NullAssociation);
    };
    let Some((peer, connection)) = registry.find(id) else {
        return invalid(StreamError::UnknownAssociation);
    };
    if peer.address.ip().to_canonical() != address.to_canonical() {
        return invalid(StreamError::AddressMismatch);
    }
    let policy = match request.stream_policy.as_bytes() {
        // An empty name keeps the current policy, which is the default.
        [] => StreamPolicy::Default,
        name => match StreamPolicy::from_name(name) {
            Some(policy) => policy,
            None => return invalid(StreamError::UnknownPolicy),
        },
    };
    match request.stream_type {
        StreamType::Data1 => {}
        StreamType::General => return invalid(StreamError::AlreadyOpen),
        // A node acknowledges DATA2 to DATA4. No policy routes messages to them and no node opens
        // them, so that they would only cost a socket and a thread each.
        _ => return invalid(StreamError::TypeOutOfRange),
    }
    let deadline = deadline_after(ATTACH_TIMEOUT);
    connection.data_stream.wait_until_ready(close, deadline);
    if !close.is_open() {
        return Err(AttachError::Cancelled);
    }
    match DataStreamGuard::start(&connection) {
        Ok(guard) => Ok(StreamClaim {
            peer,
            guard,
            request: request.clone(),
            policy,
        }),
        Err(StartError::Closed | StartError::NotReady) => invalid(StreamError::UnknownAssociation),
        Err(StartError::AlreadyRunning) => invalid(StreamError::AlreadyOpen),
    }
}

impl StreamClaim {
    /// Acknowledges the stream and reads it on the calling thread until it ends.
    ///
    /// `frames` contains the data received after the `createstrm`. Nothing else may be written to
    /// `socket`. The end of the peer's connection shuts it down and waits for this call.
    pub(in crate::connection) fn run(self, socket: Arc<Stream>, frames: FrameReader) {
        let Self {
            peer,
            guard,
            request,
            policy,
        } = self;
        let connection = guard.connection();
        let (config, _) = peer.config();
        let stream = peer.new_stream(connection, request.stream_type, socket, &config);
        drop(config);
        if connection.close.add(&stream).is_err() {
            stream.outbox.close();
            return;
        }
        // The peer may send right after its request.
        connection.requests.on_opening_stream();
        // The `streamack` must be the first message on the stream. A failed write is detected by
        // the reader.
        let answer = StreamAck {
            association_id: request.association_id,
            stream_type: request.stream_type,
        };
        let _ = stream.outbox.reply(&[answer.into()]);
        let origin = StreamOrigin::Accepted {
            stream,
            frames: Box::new(frames),
            policy,
        };
        run(&peer, &guard, origin);
    }

    /// Like [`StreamClaim::run`], but on a new thread, which the peer's connection joins.
    pub(in crate::connection) fn spawn(
        self,
        socket: Arc<Stream>,
        frames: FrameReader,
    ) -> std::io::Result<()> {
        let Self {
            peer,
            guard,
            request,
            policy,
        } = self;
        let name = format!("bsv-p2p data {}", peer.address);
        guard.spawn(name, move |guard| {
            let claim = Self {
                peer,
                guard,
                request,
                policy,
            };
            claim.run(socket, frames);
        })
    }
}
