//! A peer of a scripted Teranode, and its TCP connections.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bsv_p2p::wire::{AssociationId, Message, StreamType, Version, encode_frame};
use parking_lot::Mutex;

use super::frames::{FrameBuffer, MalformedFrame, RawFrame};
use super::node::Node;

/// Maximum time of a write, so that every thread ends.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The connection is closed.
#[derive(Debug)]
pub(super) struct Closed;

/// Why no frame was read.
pub(super) enum ReadEnd {
    Closed,
    Malformed(MalformedFrame),
}

/// A peer, with one or more streams.
pub(super) struct Peer {
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    pub(super) is_inbound: bool,
    pub(super) general: Arc<Link>,
    pub(super) facts: Mutex<PeerFacts>,
}

pub(super) struct PeerFacts {
    pub(super) version: Option<Version>,
    /// The ID under which more streams may be opened.
    pub(super) association: Option<AssociationId>,
    pub(super) has_verack: bool,
    pub(super) wants_headers: bool,
    pub(super) has_addresses: bool,
    pub(super) fee_filter: i64,
    /// The streams other than GENERAL.
    pub(super) streams: Vec<(StreamType, Arc<Link>)>,
    /// When the last complete message arrived, on any stream.
    pub(super) last_message: Instant,
    pub(super) ping: Option<(u64, Instant)>,
    /// Deadlines of the open requests, by command.
    pub(super) pending: HashMap<&'static str, Instant>,
    pub(super) score: GetdataScore,
    /// The block whose request is followed by an `inv` of the tip.
    pub(super) continued_at: Option<bsv_p2p::wire::BlockHash>,
}

impl Peer {
    pub(super) fn new(id: u64, address: SocketAddr, is_inbound: bool, general: Arc<Link>) -> Self {
        Self {
            id,
            address,
            is_inbound,
            general,
            facts: Mutex::new(PeerFacts {
                version: None,
                association: None,
                has_verack: false,
                wants_headers: false,
                has_addresses: false,
                fee_filter: 0,
                streams: Vec::new(),
                last_message: Instant::now(),
                ping: None,
                pending: HashMap::new(),
                score: GetdataScore::default(),
                continued_at: None,
            }),
        }
    }

    /// Returns whether the handshake is complete.
    pub(super) fn is_ready(&self) -> bool {
        let facts = self.facts.lock();
        facts.version.is_some() && facts.has_verack
    }

    /// Returns the connection for pings.
    pub(super) fn ping_link(&self) -> Arc<Link> {
        let facts = self.facts.lock();
        let data1 = facts
            .streams
            .iter()
            .find(|(kind, _)| *kind == StreamType::Data1);
        data1.map_or(&self.general, |(_, link)| link).clone()
    }
}

/// The score of a peer for large `getdata` messages. Half of it is forgotten every 60 s.
#[derive(Default)]
pub(super) struct GetdataScore {
    score: f64,
    updated: Option<Instant>,
}

impl GetdataScore {
    const HALF_LIFE: f64 = 60.0;
    const MAX: f64 = 100.0;

    /// Adds a request. Returns whether the peer is banned for it.
    pub(super) fn add(&mut self, entries: usize, now: Instant) -> bool {
        let age = self
            .updated
            .map_or(0.0, |updated| now.duration_since(updated).as_secs_f64());
        self.score *= 0.5_f64.powf(age / Self::HALF_LIFE);
        self.score += (entries * 99 / 50_000) as f64;
        self.updated = Some(now);
        self.score > Self::MAX
    }
}

/// The sending half of a TCP connection.
pub(super) struct Link {
    tcp: Mutex<TcpStream>,
}

impl Link {
    pub(super) fn send(&self, node: &Node, message: impl Into<Message>) -> Result<(), Closed> {
        let mut bytes = Vec::new();
        encode_frame(node.config.network.magic(), &message.into(), &mut bytes);
        self.tcp.lock().write_all(&bytes).map_err(|_| Closed)
    }

    pub(super) fn close(&self) {
        let _ = self.tcp.lock().shutdown(Shutdown::Both);
    }
}

/// One TCP connection, as the thread that reads it sees it.
pub(super) struct Wire {
    /// Number of the connection.
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    pub(super) link: Arc<Link>,
    tcp: TcpStream,
    frames: FrameBuffer,
}

impl Wire {
    pub(super) fn new(node: &Node, id: u64, tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        tcp.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let link = Link {
            tcp: Mutex::new(tcp.try_clone()?),
        };
        Ok(Self {
            id,
            address: tcp.peer_addr()?,
            link: Arc::new(link),
            frames: FrameBuffer::new(node.config.network.magic().0, node.config.streams.is_some()),
            tcp,
        })
    }

    /// Blocks until a frame is complete. Returns `None` at the deadline.
    pub(super) fn next_frame(&mut self, deadline: Instant) -> Result<Option<RawFrame>, ReadEnd> {
        loop {
            if let Some(frame) = self.frames.next_frame().map_err(ReadEnd::Malformed)? {
                return Ok(Some(frame));
            }
            // Bytes that arrived before the deadline are read also after it.
            let left = deadline.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            let set = self.tcp.set_read_timeout(Some(left));
            match set.and_then(|()| self.frames.read_from(&mut self.tcp)) {
                Ok(0) => return Err(ReadEnd::Closed),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(ReadEnd::Closed),
                },
            }
        }
    }
}
