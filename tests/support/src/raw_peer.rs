//! A scripted peer that works on bytes: the other end of a connection, independent of the library's
//! connections.
//!
//! All sockets are on loopback. Each wait has a deadline, and a missed deadline panics.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::session::PROTOCOL_VERSION;
use bsv_p2p::wire::{
    AssociationId, Block, Command, DEFAULT_MAX_RECEIVE_PAYLOAD, FrameReader, Incoming, Message,
    NetworkAddress, PayloadLimits, Ping, Pong, Protoconf, Services, Transaction, TransactionOutput,
    Version, encode_frame,
};
use socket2::{Domain, SockRef, Socket, Type};

use crate::mining::mined_block;

/// The time limit of events that usually take less than a second.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The polling interval of conditions without a notification.
const LOOK: Duration = Duration::from_millis(2);

/// The user agent of a scripted peer.
pub const USER_AGENT: &str = "/Bitcoin SV:1.2.2/";

/// Waits until `condition` is true, for at most [`DEADLINE`].
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// Returns the `version` of a current node, with a nonce of its own.
pub fn version() -> Version {
    Version {
        version: PROTOCOL_VERSION,
        services: Services::NETWORK,
        timestamp: 1_700_000_000,
        receiver: NetworkAddress::unspecified(Services::NONE),
        sender: Some(NetworkAddress::unspecified(Services::NETWORK)),
        nonce: Some(0x5eed),
        user_agent: Some(USER_AGENT.into()),
        start_height: Some(7),
        relay: Some(true),
        association_id: Some(AssociationId::Null),
    }
}

/// Returns the `version` of a Teranode.
pub fn teranode_version() -> Version {
    Version {
        services: Services(0x420),
        user_agent: Some("/teranode-legacy-p2p:0.13.0(EB18446744073709.6)/".into()),
        ..version()
    }
}

/// Returns a block of about `len` bytes.
pub fn large_block(len: usize) -> Block {
    let output = TransactionOutput {
        value: 0,
        script: vec![0; len],
    };
    let transaction = Transaction {
        version: 1,
        inputs: Vec::new(),
        outputs: vec![output],
        lock_time: 0,
    };
    mined_block(&[transaction])
}

/// Returns the `protoconf` of a current node.
pub fn protoconf() -> Protoconf {
    Protoconf {
        max_receive_payload: DEFAULT_MAX_RECEIVE_PAYLOAD,
        stream_policies: Some("Default".into()),
    }
}

/// Returns a message as a frame of regtest.
pub fn frame(message: &Message) -> Vec<u8> {
    frame_of(Network::Regtest.magic(), message)
}

/// Returns a message as a frame with this magic.
pub fn frame_of(magic: Magic, message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(magic, message, &mut bytes);
    bytes
}

/// Returns a header of regtest that claims `len` bytes of payload. Its checksum is wrong.
pub fn header_claiming(command: &'static str, len: u32) -> Vec<u8> {
    let mut bytes = Network::Regtest.magic().0.to_vec();
    bytes.extend_from_slice(&Command::new(command).to_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// One end of a TCP connection, controlled by a test.
#[derive(Debug)]
pub struct RawPeer {
    /// `None` after the close.
    tcp: Option<TcpStream>,
    frames: FrameReader,
}

impl RawPeer {
    pub fn new(tcp: TcpStream) -> Self {
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.set_write_timeout(Some(DEADLINE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let limits = PayloadLimits {
            general: u32::MAX,
            buffered: u64::MAX,
            ..PayloadLimits::default()
        };
        Self {
            tcp: Some(tcp),
            frames: FrameReader::new(Network::Regtest.magic(), limits),
        }
    }

    /// Dials a listener.
    pub fn dial(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect_timeout(&address, DEADLINE).unwrap())
    }

    pub fn tcp(&self) -> &TcpStream {
        self.tcp.as_ref().expect("the peer has been closed")
    }

    /// Returns a duplicate of the socket.
    pub fn another_holder(&self) -> TcpStream {
        self.tcp().try_clone().unwrap()
    }

    pub fn send_bytes(&self, bytes: &[u8]) {
        self.tcp().write_all(bytes).unwrap();
    }

    pub fn send(&self, message: impl Into<Message>) {
        self.send_bytes(&frame(&message.into()));
    }

    /// Sends a message. Returns whether the connection was open.
    pub fn try_send(&self, message: impl Into<Message>) -> bool {
        self.tcp().write_all(&frame(&message.into())).is_ok()
    }

    /// Returns the next message.
    #[track_caller]
    pub fn next_message(&mut self) -> Message {
        self.next()
            .expect("a message, but the connection has ended")
    }

    /// Returns the next message with this command. Others are skipped.
    #[track_caller]
    pub fn expect(&mut self, name: &str) -> Message {
        loop {
            let message = self.next_message();
            if message.command().name() == name {
                return message;
            }
        }
    }

    /// Returns the nonce of the next ping. Other messages are skipped.
    #[track_caller]
    pub fn expect_ping(&mut self) -> u64 {
        match self.expect("ping") {
            Message::Ping(Ping { nonce: Some(nonce) }) => nonce,
            other => panic!("a ping without a nonce: {other:?}"),
        }
    }

    /// Returns all messages until the other side ends the connection.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<Message> {
        self.by_ref().collect()
    }

    /// Reads `len` bytes; fewer if the other side closes the connection.
    #[track_caller]
    pub fn read_bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.tcp().take(len as u64).read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Reads until the other side closes the connection.
    #[track_caller]
    pub fn read_to_end(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.tcp().read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if is_cut(&error) => {}
            Err(error) => panic!("no end came: {error}"),
        }
        bytes
    }

    /// Completes the handshake in either direction, answers the first ping, and leaves nothing
    /// unread.
    #[track_caller]
    pub fn shake_hands(&mut self) {
        self.shake_hands_as(version());
    }

    /// Like [`RawPeer::shake_hands`], with another `version`.
    #[track_caller]
    pub fn shake_hands_as(&mut self, version: Version) {
        self.send(version);
        self.send(Message::Verack);
        self.send(protoconf());
        let nonce = self.expect_ping();
        self.send(Pong::new(nonce));
    }

    /// Sends a ping and waits for its pong. All earlier messages were processed by then.
    #[track_caller]
    pub fn ping(&mut self, nonce: u64) {
        self.send(Ping::new(nonce));
        while self.expect("pong") != Message::Pong(Pong::new(nonce)) {}
    }

    /// Closes the socket. The system resets the connection if there are unread bytes.
    pub fn close(&mut self) {
        self.tcp = None;
    }

    /// Shuts down the write half. Reading continues.
    pub fn close_writing(&self) {
        self.tcp().shutdown(Shutdown::Write).unwrap();
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        SockRef::from(self.tcp())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        self.close();
    }
}

/// The messages until the other side closes or resets the connection.
impl Iterator for RawPeer {
    type Item = Message;

    #[track_caller]
    fn next(&mut self) -> Option<Message> {
        loop {
            match self.frames.next_frame().expect("a stream of whole frames") {
                Some(Incoming::Frame(frame)) => {
                    return Some(Message::decode(frame.command, frame.payload).unwrap());
                }
                Some(other) => panic!("the stream has a damaged frame: {other:?}"),
                None => {}
            }
            let mut tcp = self.tcp.as_ref().expect("the peer has been closed");
            match self.frames.read_from(&mut tcp) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if is_cut(&error) => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }
}

fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// A listener of a test.
#[derive(Debug)]
pub struct RawListener {
    listener: TcpListener,
}

impl RawListener {
    pub fn new() -> Self {
        let socket = bound_socket();
        socket.listen(128).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            listener: socket.into(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Returns the next connection as a bare socket.
    #[track_caller]
    pub fn accept_tcp(&self) -> TcpStream {
        self.listener.accept().expect("a connection").0
    }

    /// Returns the next connection.
    #[track_caller]
    pub fn accept(&self) -> RawPeer {
        RawPeer::new(self.accept_tcp())
    }
}

/// Returns two ends of one connection.
pub fn socket_pair() -> (TcpStream, TcpStream) {
    let listener = RawListener::new();
    let dialed = TcpStream::connect_timeout(&listener.address(), DEADLINE).unwrap();
    (dialed, listener.accept_tcp())
}

/// Returns two ends of one connection with small buffers, so that writes of the second end, a bare
/// socket, stall soon.
pub fn small_buffer_pair() -> (RawPeer, TcpStream) {
    const NARROW: usize = 4096;
    let listener = RawListener::new();
    let reader = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    reader.set_recv_buffer_size(NARROW).unwrap();
    reader
        .connect_timeout(&listener.address().into(), DEADLINE)
        .unwrap();
    let writer = listener.accept_tcp();
    SockRef::from(&writer).set_send_buffer_size(NARROW).unwrap();
    (RawPeer::new(reader.into()), writer)
}

/// Returns every byte to its sender, until the other side ends the connection.
pub fn echo(tcp: TcpStream) {
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut bytes = [0; 4096];
    while let Ok(len) = (&tcp).read(&mut bytes) {
        if len == 0 || (&tcp).write_all(&bytes[..len]).is_err() {
            return;
        }
    }
}

/// An address without a listener, while this value exists.
#[derive(Debug)]
pub struct ClosedPort {
    socket: Socket,
}

impl ClosedPort {
    pub fn new() -> Self {
        Self {
            socket: bound_socket(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        address_of(&self.socket)
    }
}

/// A host that does not answer: a listener with a full queue, so that the system drops further
/// connections.
#[derive(Debug)]
pub struct SilentHost {
    listener: Socket,
    _fillers: Vec<Socket>,
}

impl SilentHost {
    pub fn new() -> Self {
        let listener = bound_socket();
        listener.listen(0).unwrap();
        let address = address_of(&listener);
        let filler = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // One fits into the queue, and the rest are for a system that lets more in.
        let first = filler();
        first.connect_timeout(&address.into(), DEADLINE).unwrap();
        let mut fillers = vec![first];
        for _ in 0..4 {
            let more = filler();
            more.set_nonblocking(true).unwrap();
            // The connect starts, and is not awaited.
            let _ = more.connect(&address.into());
            fillers.push(more);
        }
        Self {
            listener,
            _fillers: fillers,
        }
    }

    pub fn address(&self) -> SocketAddr {
        address_of(&self.listener)
    }
}

fn bound_socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any_port.into()).unwrap();
    socket
}

fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}
