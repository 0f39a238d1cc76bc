//! Opens a data stream to a peer that this side dialed.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::super::active_connection::ActiveConnection;
use super::super::peer_connection::PeerConnection;
use super::super::peer_streams::PeerStream;
use super::state::DataStreamGuard;
use super::{StreamOrigin, run};
use crate::connection::ConnectionConfig;
use crate::connection::dial::{self, DialError};
use crate::connection::stream::{ReadWait, Stream};
use crate::deadline::deadline_after;
use crate::session::StreamSetupError;
use crate::sockets::is_timeout;
use crate::wire::{CreateStrm, FrameReader, Incoming, Message, MessageKind};

/// The maximum number of `verack` and `protoconf` messages before the `streamack`. Teranode sends
/// one of each.
const MAX_GREETINGS: usize = 8;

/// Spawns a thread that opens a data stream from the local address of the primary stream.
pub(in crate::connection::actor) fn start(
    peer: &Arc<PeerConnection>,
    connection: &Arc<ActiveConnection>,
    primary: &PeerStream,
    request: CreateStrm,
) -> Result<(), StreamSetupError> {
    let local = primary.socket.local_address();
    let from = local.map_err(|error| StreamSetupError::BindFailed(error.into()))?;
    let guard = DataStreamGuard::start(connection);
    let guard = guard.map_err(|_| StreamSetupError::Closed)?;
    let peer = peer.clone();
    let name = format!("bsv-p2p data {}", peer.address);
    let spawned = guard.spawn(name, move |guard| {
        run(&peer, &guard, StreamOrigin::Dialed { request, from });
    });
    spawned.map_err(|_| StreamSetupError::ThreadSpawnFailed)
}

/// A data stream that the peer acknowledged, and the frames received after its `streamack`.
pub(super) struct OpenStream {
    pub(super) stream: Arc<PeerStream>,
    pub(super) frames: FrameReader,
}

/// Opens the stream. A refusal must not be reported if the connection has ended by then.
///
/// Blocks for at most the connect timeout and the handshake timeout.
///
/// Not inlined, because its variables would take stack memory until the stream ends.
#[inline(never)]
pub(super) fn open(
    peer: &PeerConnection,
    connection: &ActiveConnection,
    request: &CreateStrm,
    from: SocketAddr,
) -> Result<OpenStream, StreamSetupError> {
    let (config, _) = peer.config();
    let (timeout, close) = (config.connect_timeout, &connection.close);
    let tcp =
        dial::dial_from_local(from, peer.address, timeout, close).map_err(|error| match error {
            DialError::BindFailed(error) => StreamSetupError::BindFailed(error),
            DialError::ConnectFailed(reason) => StreamSetupError::ConnectFailed(Box::new(reason)),
        })?;
    let tcp = Stream::new(
        tcp,
        peer.address,
        config.tcp_keepalive,
        config.write_timeout,
    );
    let tcp = Arc::new(tcp.map_err(|_| StreamSetupError::Closed)?);
    let kind = request.stream_type;
    let stream = peer.new_stream(connection, kind, tcp, &config);
    close.add(&stream).map_err(|_| StreamSetupError::Closed)?;
    // The peer may send right after its `streamack`. A failed write is detected when the reply is
    // read.
    connection.requests.on_stream_opening();
    let _ = stream.outbox.reply(&[request.clone().into()]);
    let answered = wait_for_streamack(peer, &config, &stream, request);
    match answered {
        Ok(frames) => Ok(OpenStream { stream, frames }),
        Err(refusal) => {
            connection.requests.on_stream_failed();
            // Nothing more may be written to a refused stream.
            stream.outbox.close();
            stream.outbox.join();
            Err(refusal)
        }
    }
}

fn wait_for_streamack(
    peer: &PeerConnection,
    config: &ConnectionConfig,
    stream: &PeerStream,
    request: &CreateStrm,
) -> Result<FrameReader, StreamSetupError> {
    let counters = peer.data_counters();
    let timeout = config.session.handshake_timeout;
    let deadline = deadline_after(timeout);
    let limits = config.session.limits.before_handshake();
    let mut frames = FrameReader::new(config.magic(), limits);
    let mut wait = ReadWait::default();
    let mut greetings = 0;
    let mut read_until = Instant::now();
    loop {
        match frames.next_frame() {
            Ok(Some(Incoming::Frame(frame))) => {
                let len = frame.payload.len() as u64;
                counters.add_message_in(MessageKind::from_command(frame.command), len);
                if matches!(frame.command.name(), "verack" | "protoconf")
                    && greetings < MAX_GREETINGS
                {
                    greetings += 1;
                    continue;
                }
                return match Message::decode(frame.command, frame.payload) {
                    Ok(answer) => check_reply(answer, request).map(|()| frames),
                    Err(_) => Err(StreamSetupError::UnexpectedReply),
                };
            }
            // Invalid frames are dropped, as on an established stream.
            Ok(Some(Incoming::Dropped(_))) => continue,
            Ok(Some(_)) | Err(_) => return Err(StreamSetupError::UnexpectedReply),
            Ok(None) => {}
        }
        // Data that arrived before the deadline was read, even if the process was stopped.
        if read_until >= deadline {
            return Err(StreamSetupError::TimedOut { after: timeout });
        }
        let now = Instant::now();
        let waits = wait.until(&stream.socket, Some(deadline), now);
        match waits.and_then(|()| frames.read_from(&mut &*stream.socket)) {
            Ok(0) => return Err(StreamSetupError::Closed),
            Ok(len) => counters.add_bytes_in(len),
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(StreamSetupError::Closed),
        }
        read_until = now;
    }
}

fn check_reply(answer: Message, request: &CreateStrm) -> Result<(), StreamSetupError> {
    match answer {
        Message::StreamAck(ack)
            if ack.association_id == request.association_id
                && ack.stream_type == request.stream_type =>
        {
            Ok(())
        }
        Message::Reject(reject) => Err(StreamSetupError::Rejected(Box::new(reject))),
        _ => Err(StreamSetupError::UnexpectedReply),
    }
}
