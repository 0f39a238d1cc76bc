//! A peer that sends frames encoded in advance, so that only the receiver is measured.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    EventBus, EventReceiver, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::network::Magic;
use bsv_p2p::session::{PROTOCOL_VERSION, UserAgentPolicy};
use bsv_p2p::wire::{
    EncodedFrame, Message, NetworkAddress, Protoconf, Services, Version, encode_frame,
};
use bsv_p2p::{ConnectionConfig, Network};

use crate::process::{self, Thread};

pub(crate) const MAGIC: Magic = Magic([0xda, 0xb5, 0xbf, 0xfa]);
/// The timeout of every wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// The approximate length of one write.
const WRITE: usize = 256 * 1024;

/// Frames for one write.
#[derive(Clone)]
pub(crate) struct Frames {
    bytes: Arc<[u8]>,
    frame_len: usize,
}

impl Frames {
    pub(crate) fn of(message: &Message) -> Self {
        let frame = EncodedFrame::new(MAGIC, message);
        let frame = [frame.header(), frame.payload()].concat();
        Self {
            bytes: frame.repeat((WRITE / frame.len()).max(1)).into(),
            frame_len: frame.len(),
        }
    }

    /// Returns the length of each frame.
    pub(crate) fn frame_len(&self) -> usize {
        self.frame_len
    }

    fn write_to(&self, stream: &mut TcpStream, count: u32) -> io::Result<()> {
        let mut left = count as usize * self.frame_len;
        while left > 0 {
            let now = left.min(self.bytes.len());
            stream.write_all(&self.bytes[..now])?;
            left -= now;
        }
        Ok(())
    }
}

/// A peer in this process.
pub(crate) struct Scripted {
    orders: mpsc::Sender<(Frames, u32)>,
    sender: Thread,
}

impl Scripted {
    /// Sends this number of frames. Returns the time of the start.
    pub(crate) fn send(&self, frames: &Frames, count: u32) -> Instant {
        let begin = Instant::now();
        self.orders.send((frames.clone(), count)).expect("a peer");
        begin
    }

    /// Returns the CPU time of all threads except the one that sends for this peer.
    pub(crate) fn receiver_cpu(&self) -> Duration {
        process::cpu().saturating_sub(self.sender.cpu())
    }
}

/// Creates a peer, and the socket connected to it. It sends `greeting` first.
pub(crate) fn peer(greeting: Vec<u8>) -> (Scripted, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut there = TcpStream::connect(address).expect("a connection");
    let (here, _) = listener.accept().expect("a connection");
    for stream in [&here, &there] {
        stream.set_nodelay(true).expect("an option");
    }
    let mut answers = there.try_clone().expect("a second handle");
    // Unread bytes would block the sender.
    thread::spawn(move || {
        let mut unread = vec![0; WRITE];
        while answers.read(&mut unread).is_ok_and(|read| read > 0) {}
    });
    let (orders, ordered) = mpsc::channel::<(Frames, u32)>();
    let (started, sender) = mpsc::channel();
    thread::spawn(move || {
        started.send(Thread::current()).expect("a receiver");
        let _ = there.write_all(&greeting);
        // The client may have closed the connection.
        for (frames, count) in ordered {
            let _ = frames.write_to(&mut there, count);
        }
        let _ = there.shutdown(Shutdown::Both);
    });
    let sender = sender.recv().expect("a thread");
    (Scripted { orders, sender }, here)
}

/// Returns the bytes that a node sends in the handshake.
pub(crate) fn handshake() -> Vec<u8> {
    let address = NetworkAddress::unspecified(Services::NETWORK);
    let version = Version {
        version: PROTOCOL_VERSION,
        services: Services::NETWORK,
        timestamp: 0,
        receiver: address,
        sender: Some(address),
        nonce: Some(1),
        user_agent: Some("/bench:1/".into()),
        start_height: Some(0),
        relay: Some(true),
        association_id: None,
    };
    let protoconf = Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: None,
    };
    let mut hello = Vec::new();
    for message in [version.into(), Message::Verack, protoconf.into()] {
        encode_frame(MAGIC, &message, &mut hello);
    }
    hello
}

/// Creates a peer, an actor that has completed the handshake with it, and a subscriber to its
/// messages.
pub(crate) fn peer_of_actor() -> (
    Scripted,
    PeerConnectionHandle,
    EventReceiver<BitcoinMessageEvent>,
) {
    let (peer, stream) = peer(handshake());
    let events = EventBus::new();
    let (control, messages) = (events.subscribe_control(), events.subscribe_messages());
    let setup = PeerConnectionOptions {
        events,
        ..PeerConnectionOptions::new(config())
    };
    let actor = PeerConnectionActor::spawn_inbound(stream, setup).expect("a thread");
    wait_for_handshake(&control);
    (peer, actor, messages)
}

pub(crate) fn wait_for_handshake(control: &EventReceiver<ControlEvent>) {
    let complete = |event| matches!(event, ControlEvent::HandshakeComplete { .. });
    while !complete(control.recv_timeout(TIMEOUT).expect("a handshake")) {}
}

pub(crate) fn config() -> ConnectionConfig {
    let mut config = ConnectionConfig::new(Network::Regtest);
    config.session.user_agents = UserAgentPolicy::Any;
    // The blocks are not requested.
    config.session.limits.unrequested = config.session.limits.buffered;
    // The peer does not answer.
    config.session.ping_timeout = Duration::from_secs(24 * 3600);
    config
}
