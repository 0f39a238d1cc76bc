//! Attaches an accepted socket to a connected peer as its data stream (`createstrm`).

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::peer_connection::PeerConnection;
use super::state::{DataStreamGuard, StartError};
use super::{StreamOrigin, run};
use crate::connection::AssociationRegistry;
use crate::connection::close_cell::CloseCell;
use crate::connection::stream::Stream;
use crate::deadline::deadline_after;
use crate::peers::PeerRef;
use crate::session::StreamError;
use crate::wire::{
    AssociationId, CreateStrm, FrameReader, MessageKind, StreamAck, StreamPolicy, StreamType,
};

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

/// An accepted socket whose first message was a `createstrm`.
pub(in crate::connection) struct StreamSocket {
    pub(in crate::connection) socket: Arc<Stream>,
    pub(in crate::connection) request: CreateStrm,
    /// The length of the payload of `request` in bytes.
    pub(in crate::connection) request_len: u64,
    /// The data received after `request`.
    pub(in crate::connection) frames: Box<FrameReader>,
    /// The number of bytes received so far.
    pub(in crate::connection) received: usize,
}

/// The right to run the data stream of a peer. Dropping it gives the stream up.
pub(in crate::connection) struct StreamClaim {
    peer: Arc<PeerConnection>,
    guard: DataStreamGuard,
    socket: StreamSocket,
    policy: StreamPolicy,
}

/// Finds the peer that the request of `socket` names, and claims its data stream.
///
/// Follows `ProcessCreateStreamMessage` of Bitcoin SV node 1.2.2 (`src/net/net_processing.cpp`).
/// Blocks for at most 5 s, until the handshake of the peer is complete. A reason in `close`, which
/// belongs to the calling thread, ends the wait.
///
/// Nothing is written. The caller must call [`StreamClaim::run`].
///
/// # Errors
///
/// - [`AttachError::Invalid`] if the request must be rejected
/// - [`AttachError::Cancelled`] if `close` has a reason
pub(in crate::connection) fn claim_stream(
    registry: &AssociationRegistry,
    socket: StreamSocket,
    close: &CloseCell,
) -> Result<StreamClaim, AttachError> {
    let invalid = |error| Err(AttachError::Invalid(error));
    let request = &socket.request;
    let AssociationId::Uuid(id) = request.association_id else {
        return invalid(StreamError::NullAssociation);
    };
    let Some((peer, connection)) = registry.find(id) else {
        return invalid(StreamError::UnknownAssociation);
    };
    let address = socket.socket.peer().ip();
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
    // Counted before the wait, as other messages are counted when they are read.
    let counters = peer.data_counters();
    counters.add_bytes_in(socket.received);
    counters.add_message_in(Some(MessageKind::CreateStrm), socket.request_len);
    let deadline = deadline_after(ATTACH_TIMEOUT);
    connection.data_stream.wait_until_ready(close, deadline);
    if !close.is_open() {
        return Err(AttachError::Cancelled);
    }
    match DataStreamGuard::start(&connection) {
        Ok(guard) => Ok(StreamClaim {
            peer,
            guard,
            socket,
            policy,
        }),
        Err(StartError::Closed | StartError::NotReady) => invalid(StreamError::UnknownAssociation),
        Err(StartError::AlreadyRunning) => invalid(StreamError::AlreadyOpen),
    }
}

impl StreamClaim {
    /// Returns the peer of the stream.
    pub(in crate::connection) fn peer_ref(&self) -> PeerRef {
        PeerRef::new(self.peer.peer_id(), self.peer.address)
    }

    /// Acknowledges the stream and reads it on the calling thread until it ends.
    ///
    /// Nothing else may be written to the socket. The end of the peer's connection shuts the socket
    /// down and waits for this call, and then for `thread`, which is the calling one.
    pub(in crate::connection) fn run(self, thread: JoinHandle<()>) {
        let Self {
            peer,
            guard,
            socket:
                StreamSocket {
                    socket,
                    request,
                    frames,
                    ..
                },
            policy,
        } = self;
        guard.set_thread(thread);
        let connection = guard.connection();
        let (config, _) = peer.config();
        let stream = peer.new_stream(connection, request.stream_type, socket, &config);
        drop(config);
        if connection.close.add(&stream).is_err() {
            stream.outbox.close();
            return;
        }
        // The peer may send right after its request.
        connection.requests.on_stream_opening();
        // The `streamack` must be the first message on the stream. A failed write is detected by
        // the reader.
        let answer = StreamAck {
            association_id: request.association_id,
            stream_type: request.stream_type,
        };
        let _ = stream.outbox.reply(&[answer.into()]);
        let origin = StreamOrigin::Accepted {
            stream,
            frames,
            policy,
        };
        run(&peer, &guard, origin);
    }
}
