//! A TCP relay whose bandwidth limit holds for all of its connections together: what one carries the others cannot.
//!
//! Each way has a limit of its own. Little of each connection is passed on at once, in the order in which it came, so that all of them have their
//! turn; and the relay's sockets hold little, so that what is on its way waits with whoever sends it. Dropping it ends its connections and
//! joins its threads. A crate takes this module in with `#[path]`.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How many bytes of one connection are passed on before those of the others have their turn.
const CHUNK: usize = 16 * 1024;
/// How many bytes each buffer of the relay's sockets is to have. The system may give more.
const SOCKET_BUFFER: usize = 64 * 1024;
/// How late a chunk may be without the time being lost: waits are never as short as they are asked for.
const CATCH_UP: Duration = Duration::from_millis(2);
/// How long the target may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The relay, between whoever dials its address and the target.
pub(crate) struct LimitedRelay {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    target: SocketAddr,
    /// To the target, and back.
    ways: [Limit; 2],
    stopped: AtomicBool,
    /// All that there were.
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

    /// Where to dial.
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
            // One whose ends have gone is what is wanted.
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

    /// Both ends of a connection, unless the relay has ended.
    fn connect(&self, dialler: TcpStream) -> io::Result<[(TcpStream, TcpStream); 2]> {
        let socket = narrow_socket()?;
        socket.connect_timeout(&self.target.into(), CONNECT_TIMEOUT)?;
        let target = TcpStream::from(socket);
        for end in [&dialler, &target] {
            end.set_nodelay(true)?;
        }
        let ways = [
            (dialler.try_clone()?, target.try_clone()?),
            (target.try_clone()?, dialler.try_clone()?),
        ];
        let mut sockets = self.sockets();
        if self.stopped.load(SeqCst) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        sockets.extend([dialler, target]);
        Ok(ways)
    }
}

/// A socket that holds little. Those that are accepted from it do the same.
fn narrow_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut pumps = Vec::new();
    for dialler in listener.incoming() {
        if shared.stopped.load(SeqCst) {
            break;
        }
        // A target that is not there ends the dialler's connection as well.
        let Ok(ways) = dialler.and_then(|dialler| shared.connect(dialler)) else {
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

/// Passes on what comes, until its sender has closed.
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

/// What may go one way.
struct Limit {
    bytes_per_second: u64,
    /// From when on the next may go.
    free_at: Mutex<Instant>,
}

impl Limit {
    fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Waits until so many bytes have gone behind all that came before, of whichever connection.
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
