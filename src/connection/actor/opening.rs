//! Opens a second stream to a peer that this side dialed.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::peer_connection::PeerConnection;
use super::peer_streams::PeerStream;
use super::second_life::{self, Beginning};
use crate::connection::ConnectionConfig;
use crate::connection::dial::{self, NotDialed};
use crate::connection::outbox::Outbox;
use crate::connection::stop::Stop;
use crate::connection::stream::{ReadWait, Stream};
use crate::deadline::deadline_after;
use crate::session::{DisconnectReason, StreamSetupError};
use crate::sockets::is_timeout;
use crate::wire::{CreateStrm, FrameReader, Incoming, Message, MessageKind};

/// The maximum number of `verack` and `protoconf` messages before the `streamack`. Teranode sends
/// one of each.
const MAX_GREETINGS: usize = 8;

/// Spawns a thread that opens a second stream from the local address of the first connection.
pub(super) fn begin(
    peer: &Arc<PeerConnection>,
    first: &PeerStream,
    request: CreateStrm,
) -> Result<(), StreamSetupError> {
    let local = first.stream.local_address();
    let from = local.map_err(|error| StreamSetupError::BindFailed(error.into()))?;
    let begun = peer.second.begin(|stop| {
        let beginning = Beginning::Open { request, from };
        let thread = second_life::spawn(peer, stop, beginning)?;
        Ok((None, thread))
    });
    begun.map_err(|_| StreamSetupError::ThreadSpawnFailed)
}

/// A second stream that the peer acknowledged, and the frames received after its `streamack`.
pub(super) struct Opened {
    pub(super) link: Arc<PeerStream>,
    pub(super) frames: FrameReader,
}

/// Opens the stream. A refusal must not be reported once `stop` is set.
///
/// Blocks for at most the connect timeout and the handshake timeout.
pub(super) fn open(
    peer: &PeerConnection,
    request: &CreateStrm,
    from: SocketAddr,
    stop: &Stop,
) -> Result<Opened, StreamSetupError> {
    let config = peer.config();
    let dialed = dial::dial_from(from, peer.address, config.connect_timeout, stop);
    let tcp = dialed.map_err(|error| match error {
        NotDialed::NotBound(error) => StreamSetupError::BindFailed(error),
        NotDialed::NotConnected(reason) => StreamSetupError::ConnectFailed(Box::new(reason)),
    })?;
    let stream = Stream::new(
        tcp,
        peer.address,
        config.tcp_keepalive,
        config.write_timeout,
    );
    let stream = Arc::new(stream.map_err(|_| StreamSetupError::Closed)?);
    let outbox = Outbox::new(stream.clone(), &config, peer.second_counters());
    let link = Arc::new(PeerStream {
        kind: request.stream_type,
        stream,
        outbox,
    });
    if !peer.second.set_link(&link) {
        return Err(StreamSetupError::Closed);
    }
    // The peer may send right after its `streamack`. A failed write is detected when the reply is
    // read.
    peer.requests.on_opening_stream();
    let _ = link.outbox.reply(&[request.clone().into()]);
    let answered = await_answer(peer, &config, &link, request);
    match answered {
        Ok(frames) => Ok(Opened { link, frames }),
        Err(refusal) => {
            peer.requests.on_no_second_stream();
            // Nothing more may be written to a refused stream.
            link.outbox.close(DisconnectReason::StreamRefused);
            link.outbox.join();
            peer.second.forget_link();
            Err(refusal)
        }
    }
}

fn await_answer(
    peer: &PeerConnection,
    config: &ConnectionConfig,
    link: &PeerStream,
    request: &CreateStrm,
) -> Result<FrameReader, StreamSetupError> {
    let counters = peer.second_counters();
    let timeout = config.session.handshake_timeout;
    let deadline = deadline_after(timeout);
    let limits = config.session.limits.before_handshake();
    let mut frames = FrameReader::new(config.magic(), limits);
    let mut wait = ReadWait::default();
    let mut greetings = 0;
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
                    Ok(answer) => judge(answer, request).map(|()| frames),
                    Err(_) => Err(StreamSetupError::UnexpectedReply),
                };
            }
            // Invalid frames are dropped, as on an established stream.
            Ok(Some(Incoming::Dropped(_))) => continue,
            Ok(Some(_)) | Err(_) => return Err(StreamSetupError::UnexpectedReply),
            Ok(None) => {}
        }
        let now = Instant::now();
        if now >= deadline {
            return Err(StreamSetupError::TimedOut { after: timeout });
        }
        let waits = wait.until(&link.stream, Some(deadline), now);
        match waits.and_then(|()| frames.read_from(&mut &*link.stream)) {
            Ok(0) => return Err(StreamSetupError::Closed),
            Ok(len) => counters.add_bytes_in(len),
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(StreamSetupError::Closed),
        }
    }
}

fn judge(answer: Message, request: &CreateStrm) -> Result<(), StreamSetupError> {
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
