//! A TCP relay with a bandwidth limit that all of its connections share.
//!
//! Each direction has its own limit. The relay forwards small parts of each connection in turn, in
//! their order. Its sockets have small buffers, so that bytes wait at the sender. Dropping it
//! closes its connections and joins its threads.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// The number of bytes of one connection that are forwarded in one turn.
const CHUNK: usize = 16 * 1024;
/// The requested size of the buffers of the relay's sockets. The system may use more.
const SOCKET_BUFFER: usize = 64 * 1024;
/// The delay of a chunk that is caught up, because waits are never exact.
const CATCH_UP: Duration = Duration::from_millis(2);
/// The connect timeout of the target.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The relay between its clients and the target.
pub(crate) struct LimitedRelay {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    target: SocketAddr,
    /// The limits to the target and back.
    ways: [Limit; 2],
    stopped: AtomicBool,
    /// All sockets so far.
    sockets: Mutex<Vec<TcpStream>>,
}

impl LimitedRelay {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn start(target: SocketAddr, bytes_per_second: u64) -> io::Result<Self> {
        let socket = narrow_socket()?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(16)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            ways: [Limit::new(bytes_per_second), Limit::new(bytes_per_second)],
            stopped: AtomicBool::new(false),
            sockets: Mutex::default(),
        });
        let listening = {
            let shared = shared.clone();
            thread::spawn(move || listen(&listener, &shared))
        };
        Ok(Self {
            address,
            shared,
            listening: Some(listening),
        })
    }

    /// Returns the address to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LimitedRelay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        // Ends the wait for a connection.
        let _ = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT);
        for socket in self.shared.sockets().iter() {
            // The socket may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        if let Some(listening) = self.listening.take() {
            let ended = listening.join();
            assert!(ended.is_ok() || thread::panicking(), "the relay panicked");
        }
    }
}

impl Shared {
    fn sockets(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects both ends, unless the relay has ended.
    fn connect(&self, dialer: TcpStream) -> io::Result<[(TcpStream, TcpStream); 2]> {
        let socket = narrow_socket()?;
        socket.connect_timeout(&self.target.into(), CONNECT_TIMEOUT)?;
        let target = TcpStream::from(socket);
        for end in [&dialer, &target] {
            end.set_nodelay(true)?;
        }
        let ways = [
            (dialer.try_clone()?, target.try_clone()?),
            (target.try_clone()?, dialer.try_clone()?),
        ];
        let mut sockets = self.sockets();
        if self.stopped.load(SeqCst) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        sockets.extend([dialer, target]);
        Ok(ways)
    }
}

/// Returns a socket with small buffers. Accepted sockets inherit them.
fn narrow_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut pumps = Vec::new();
    for dialer in listener.incoming() {
        if shared.stopped.load(SeqCst) {
            break;
        }
        // An unreachable target closes the connection of the dialing side.
        let Ok(ways) = dialer.and_then(|dialer| shared.connect(dialer)) else {
            continue;
        };
        for (at, (from, to)) in ways.into_iter().enumerate() {
            let shared = shared.clone();
            pumps.push(thread::spawn(move || {
                if pump(&shared.ways[at], &from, &to).is_err() {
                    for end in [from, to] {
                        let _ = end.shutdown(Shutdown::Both);
                    }
                }
            }));
        }
    }
    for pump in pumps {
        pump.join().expect("a pump of the relay");
    }
}

/// Forwards bytes until the sender closes.
fn pump(limit: &Limit, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk)? {
            0 => return to.shutdown(Shutdown::Write),
            len => {
                limit.wait_for(len);
                to.write_all(&chunk[..len])?;
            }
        }
    }
}

/// The limit of one direction.
struct Limit {
    bytes_per_second: u64,
    /// The time from which on more bytes may pass.
    free_at: Mutex<Instant>,
}

impl Limit {
    fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Waits until this number of bytes has passed after all earlier ones, of any connection.
    fn wait_for(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let begins = (*free_at).max(now.checked_sub(CATCH_UP).unwrap_or(now));
            *free_at = begins + takes;
            *free_at
        };
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}
