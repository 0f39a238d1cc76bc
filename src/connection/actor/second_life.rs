//! The thread of a peer's second stream.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use log::Level;

use super::opening::{self, Opened};
use super::peer_connection::PeerConnection;
use super::peer_streams::PeerStream;
use super::reading::{End, Reading, Role};
use super::streaming::Streaming;
use super::telling::Events;
use crate::connection::message_reader::MessageReader;
use crate::connection::records::Logged;
use crate::connection::stop::Stop;
use crate::event::ControlEvent;
use crate::memory::MemoryGuard;
use crate::session::{DisconnectReason, SessionEvent};
use crate::wire::{CreateStrm, FrameReader, StreamPolicy, StreamType};

/// How the second stream was opened.
pub(super) enum Beginning {
    /// This side opens the stream from the local address `from`.
    Open {
        request: CreateStrm,
        from: SocketAddr,
    },
    /// The peer opened the stream.
    Taken {
        link: Arc<PeerStream>,
        /// The frames received after the `createstrm`.
        frames: Box<FrameReader>,
        policy: StreamPolicy,
    },
}

/// Spawns the thread of a second stream.
pub(super) fn spawn(
    peer: &Arc<PeerConnection>,
    stop: Arc<Stop>,
    beginning: Beginning,
) -> io::Result<JoinHandle<()>> {
    let peer = peer.clone();
    thread::Builder::new()
        .name(format!("bsv-p2p data {}", peer.address))
        .stack_size(256 * 1024)
        .spawn(move || run(&peer, &stop, beginning))
}

/// Runs a second stream. The end of an open stream closes the connection, as does a panic.
fn run(peer: &Arc<PeerConnection>, stop: &Stop, beginning: Beginning) {
    let (mut streaming, mut held) = (Streaming::default(), Vec::new());
    let life = AssertUnwindSafe(|| {
        let events = Events {
            publisher: peer.publisher(StreamType::Data1),
            held: &mut held,
        };
        live(peer, events, &mut streaming, stop, beginning)
    });
    let ended = catch_unwind(life).unwrap_or(Err(DisconnectReason::InternalError));
    if let Err(reason) = ended {
        streaming.cut(&reason);
        peer.end_second(&reason);
    }
}

/// Reads the stream until the connection ends. Returns `Ok` if no stream was opened and the
/// connection continues without it.
fn live(
    peer: &Arc<PeerConnection>,
    mut events: Events<'_>,
    streaming: &mut Streaming,
    stop: &Stop,
    beginning: Beginning,
) -> Result<(), DisconnectReason> {
    let (link, frames, policy) = match beginning {
        Beginning::Taken {
            link,
            frames,
            policy,
        } => (link, *frames, policy),
        Beginning::Open { request, from } => {
            let policy = StreamPolicy::from_name(request.stream_policy.as_bytes());
            match opening::open(peer, &request, from, stop) {
                Ok(Opened { link, frames }) => {
                    (link, frames, policy.unwrap_or(StreamPolicy::Default))
                }
                Err(_) if stop.is_set() => return Ok(()),
                Err(refusal) => {
                    events.tell(peer, SessionEvent::StreamSetupFailed(refusal));
                    return Ok(());
                }
            }
        }
    };
    let config_version = peer.config_version();
    let config = peer.config();
    let (limits, expected) = {
        let session = peer.session.lock();
        (session.limits(), session.expected_payloads())
    };
    let mut reader =
        MessageReader::resume(frames, (limits, expected), &config, peer.second_counters());
    reader.track_memory(MemoryGuard::new(peer.memory.clone()));
    drop(config);
    if !peer.second.set_open() {
        // The connection ended while the stream was opened.
        link.outbox.join();
        return Ok(());
    }
    peer.add_second_link(link.clone(), policy);
    match policy {
        // The default policy routes no messages to the second stream.
        StreamPolicy::Default => peer.requests.on_no_second_stream(),
        // Requests for blocks and headers use the second stream from now on.
        StreamPolicy::BlockPriority => peer.requests.on_second_stream(),
    }
    peer.send_fence();
    let text = format_args!("stream {} opened, policy {policy}", link.kind);
    peer.log(Level::Info).write(text);
    events.control(ControlEvent::StreamOpened {
        peer_id: peer.peer_id,
        address: peer.address,
        stream: link.kind,
        policy,
    });
    let mut reading = Reading {
        peer,
        link: &link,
        reader,
        events,
        streaming,
        role: Role::Second(stop),
        config_version,
        transport_end: None,
    };
    match reading.run(true) {
        End::Ended(reason) => Err(reason),
        // A `createstrm` is valid as the first message of a connection only.
        End::Becomes(_) => Err(DisconnectReason::StreamRefused),
    }
}
