//! Scripted peers that serve block headers, honestly or not.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bsv_p2p::wire::{BlockHash, BlockHeader, Headers, Message, NotFound, Pong, Version};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};

use crate::raw_peer::{RawPeer, protoconf, version};

/// Maximum number of headers in an answer of a node.
const MAX_HEADERS: usize = 2_000;

/// How a server answers `getheaders`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// As a node: up to 2,000 headers after the last common block, also none.
    Node,
    /// At most this number of headers.
    AtMost(usize),
    /// The last common block and the headers after it; nothing if there are none.
    Inclusive,
    /// As a node, but nothing if it has no headers after the last common block.
    NothingAtTip,
    /// One header per answer, after a pause.
    Trickle(Duration),
    /// Never.
    Never,
}

/// A server of headers. It ends when it is dropped.
pub struct HeaderServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    /// Ends pauses.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// The chain from genesis.
    headers: Mutex<Vec<(BlockHash, BlockHeader)>>,
    answers: Answers,
    claimed_height: i32,
    /// The time after which the server closes each connection.
    lifetime: Option<Duration>,
    is_stopped: AtomicBool,
    connections: AtomicUsize,
    requests: AtomicUsize,
    socket: Mutex<Option<TcpStream>>,
}

/// A builder of servers.
#[derive(Clone)]
pub struct HeaderServerOptions {
    pub headers: Vec<BlockHeader>,
    pub answers: Answers,
    pub claimed_height: i32,
    pub lifetime: Option<Duration>,
}

impl HeaderServerOptions {
    /// Returns a server of a chain of headers, the first of which is the genesis header.
    pub fn new(headers: &[BlockHeader], answers: Answers) -> Self {
        Self {
            claimed_height: headers.len() as i32 - 1,
            headers: headers.to_vec(),
            answers,
            lifetime: None,
        }
    }

    /// Starts a server that waits to be dialed, again after each connection.
    pub fn listen(self) -> HeaderServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        self.start(address, move |shared, stopped| {
            while let Ok((tcp, _)) = listener.accept()
                && !shared.is_stopped()
            {
                shared.serve(tcp, stopped);
            }
        })
    }

    /// Starts a server that dials `to` from a loopback address, again after each connection.
    pub fn dial(self, from: Ipv4Addr, to: SocketAddr) -> HeaderServer {
        self.start(to, move |shared, stopped| {
            const PAUSE: Duration = Duration::from_millis(50);
            while !shared.is_stopped() {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
                if socket.connect(&to.into()).is_err() {
                    return;
                }
                shared.serve(socket.into(), stopped);
                let _ = stopped.recv_timeout(PAUSE);
            }
        })
    }

    fn start(
        self,
        address: SocketAddr,
        run: impl FnOnce(&Shared, &Receiver<()>) + Send + 'static,
    ) -> HeaderServer {
        let headers = self.headers.iter().map(|one| (one.hash(), *one));
        let shared = Arc::new(Shared {
            headers: Mutex::new(headers.collect()),
            answers: self.answers,
            claimed_height: self.claimed_height,
            lifetime: self.lifetime,
            is_stopped: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            socket: Mutex::new(None),
        });
        let (stop, stopped) = bounded(0);
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || run(&shared, &stopped)
        });
        HeaderServer {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl HeaderServer {
    /// Returns the number of `getheaders` received.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Returns the number of connections whose handshake completed.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for HeaderServer {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        drop(self.stop.take());
        self.shared.close();
        // Ends a wait for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    fn close(&self) {
        if let Some(socket) = self.socket.lock().take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Serves one connection to its end.
    fn serve(&self, tcp: TcpStream, stopped: &Receiver<()>) {
        *self.socket.lock() = Some(tcp.try_clone().unwrap());
        if self.is_stopped() {
            return;
        }
        std::thread::scope(|scope| {
            let (ended, end) = bounded::<()>(0);
            if let Some(lifetime) = self.lifetime {
                scope.spawn(move || {
                    let _ = end.recv_timeout(lifetime);
                    self.close();
                });
            }
            let _ended = ended;
            self.answer_all(RawPeer::new(tcp), stopped);
        });
    }

    fn answer_all(&self, mut peer: RawPeer, stopped: &Receiver<()>) {
        peer.tcp().set_read_timeout(None).unwrap();
        let version = Version {
            start_height: Some(self.claimed_height),
            ..version()
        };
        let mut is_open = peer.try_send(version);
        while is_open && let Some(message) = peer.next() {
            is_open = match message {
                Message::Version(_) => peer.try_send(Message::Verack) && peer.try_send(protoconf()),
                Message::Verack => {
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Message::Ping(ping) => peer.try_send(Pong::new(ping.nonce.unwrap())),
                Message::GetHeaders(request) => {
                    self.requests.fetch_add(1, Ordering::Relaxed);
                    match self.answer(&request.locator, stopped) {
                        Some(headers) => peer.try_send(Headers { headers }),
                        None => true,
                    }
                }
                Message::GetData(request) if self.answers != Answers::Never => {
                    peer.try_send(NotFound::from(request.inventory))
                }
                _ => true,
            };
        }
    }

    fn answer(&self, locator: &[BlockHash], stopped: &Receiver<()>) -> Option<Vec<BlockHeader>> {
        let headers = self.headers.lock();
        let position = |hash: &BlockHash| headers.iter().position(|(one, _)| one == hash);
        let common = locator.iter().find_map(position).unwrap_or(0);
        let after = |first: usize, max: usize| -> Vec<BlockHeader> {
            let answer = headers[first..].iter().take(max);
            answer.map(|(_, header)| *header).collect()
        };
        let is_tip = common + 1 == headers.len();
        match self.answers {
            Answers::Node => Some(after(common + 1, MAX_HEADERS)),
            Answers::AtMost(max) => Some(after(common + 1, max)),
            Answers::Inclusive | Answers::NothingAtTip if is_tip => None,
            Answers::NothingAtTip => Some(after(common + 1, MAX_HEADERS)),
            Answers::Inclusive => Some(after(common, MAX_HEADERS)),
            Answers::Trickle(pause) => {
                let _ = stopped.recv_timeout(pause);
                Some(after(common + 1, 1))
            }
            Answers::Never => None,
        }
    }
}
