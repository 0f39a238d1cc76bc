//! The second stream of a peer (`DATA1`), which carries blocks and headers.
//!
//! Its run function reads the stream on the thread that calls it. This side dials the stream on a
//! thread of its own. A stream that the peer opened runs on the thread that accepted its socket.

mod attach;
mod open;
mod state;

pub(super) use self::open::start;
pub(super) use self::state::DataStream;
pub(in crate::connection) use attach::{AttachError, StreamClaim, StreamSocket, claim_stream};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use log::Level;

use self::open::OpenStream;
use self::state::DataStreamGuard;
use super::active_connection::ActiveConnection;
use super::block_transfer::BlockTransfer;
use super::event_emitter::EventEmitter;
use super::lifecycle::call_foreign;
use super::peer_connection::PeerConnection;
use super::peer_streams::PeerStream;
use super::read_loop::{ReadLoop, StreamRole};
use crate::connection::logging::Logged;
use crate::connection::message_reader::MessageReader;
use crate::event::ControlEvent;
use crate::session::{DisconnectReason, SessionEvent};
use crate::wire::{CreateStrm, FrameReader, StreamPolicy, StreamType};

/// How the stream was opened.
enum StreamOrigin {
    /// This side opens the stream from the local address `from`.
    Dialed {
        request: CreateStrm,
        from: SocketAddr,
    },
    /// The peer opened the stream.
    Accepted {
        stream: Arc<PeerStream>,
        /// The frames received after the `createstrm`.
        frames: Box<FrameReader>,
        policy: StreamPolicy,
    },
}

/// Runs the stream on the calling thread until it ends. The end of an open stream ends the
/// connection, as does a panic.
fn run(peer: &Arc<PeerConnection>, guard: &DataStreamGuard, origin: StreamOrigin) {
    let _own = peer.lifecycle.enter_thread();
    let connection = guard.connection();
    let mut block_transfer = BlockTransfer::default();
    let ended = call_foreign(|| {
        let events = EventEmitter {
            peer,
            connection,
            publisher: peer.publisher(connection, StreamType::Data1),
        };
        read(peer, connection, events, &mut block_transfer, origin)
    });
    if let Err(reason) = ended.unwrap_or(Err(DisconnectReason::InternalError)) {
        connection.on_data_stream_end(reason.clone());
        block_transfer.abort(&connection.close.reason().unwrap_or(reason));
    }
}

/// Reads the stream until the connection ends. Returns `Ok` if no stream was opened and the
/// connection continues without it.
fn read(
    peer: &Arc<PeerConnection>,
    connection: &Arc<ActiveConnection>,
    mut events: EventEmitter<'_>,
    block_transfer: &mut BlockTransfer,
    origin: StreamOrigin,
) -> Result<(), DisconnectReason> {
    let (stream, frames, policy) = match origin {
        StreamOrigin::Accepted {
            stream,
            frames,
            policy,
        } => (stream, *frames, policy),
        StreamOrigin::Dialed { request, from } => {
            let policy = StreamPolicy::from_name(request.stream_policy.as_bytes());
            match open::open(peer, connection, &request, from) {
                Ok(OpenStream { stream, frames }) => {
                    (stream, frames, policy.unwrap_or(StreamPolicy::Default))
                }
                Err(_) if !connection.close.is_open() => return Ok(()),
                Err(refusal) => {
                    events.emit(SessionEvent::StreamSetupFailed(refusal));
                    return Ok(());
                }
            }
        }
    };
    let (config, config_version) = peer.config();
    // It may have been replaced since the stream was created.
    stream.outbox.update_config(&config);
    let (limits, expected) = {
        let session = connection.session();
        (session.limits(), session.expected_payloads())
    };
    let counters = peer.data_counters();
    let mut reader = MessageReader::resume(frames, (limits, expected), &config, counters);
    reader.track_memory(peer.stream_memory(connection, stream.kind));
    events.publisher.set_limits((&*config).into());
    drop(config);
    if connection.close.is_closed() {
        // The connection ended while the stream was opened.
        return Ok(());
    }
    // If the peer closed the connection, data that arrived before is still read.
    connection.add_data_stream(stream.clone(), policy);
    match policy {
        // The default policy routes no messages to the data stream.
        StreamPolicy::Default => connection.requests.on_stream_failed(),
        // Requests for blocks and headers use the data stream from now on.
        StreamPolicy::BlockPriority => connection.requests.on_stream_open(),
    }
    connection.send_fence();
    let text = format_args!("stream {} opened, policy {policy}", stream.kind);
    peer.log(Level::Info).write(text);
    events.control(ControlEvent::StreamOpened {
        peer_id: peer.peer_id,
        address: peer.address,
        stream: stream.kind,
        policy,
    });
    let mut read_loop = ReadLoop {
        peer,
        connection,
        stream: &stream,
        reader,
        events,
        block_transfer,
        role: StreamRole::Data,
        read_until: Instant::now(),
        config_version,
        transport_end: None,
    };
    Err(read_loop.run(true))
}
