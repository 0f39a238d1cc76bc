//! `std::net` with TCP connections in memory.
//!
//! A read may return fewer bytes than there are, and a write may accept fewer than there is room
//! for. Data, its end and a reset arrive at once. Data that arrived before a reset can be read.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
    ToSocketAddrs,
};

use crate::channel::{Receiver, Sender, unbounded};
use crate::clock::{Waiter, switch};
use crate::explore::choose;
use crate::time::Instant;

/// The buffer of each direction of a connection, unless [`set_buffer`] changes it.
const BUFFER: usize = 64 * 1024;

thread_local! {
    static LISTENERS: RefCell<BTreeMap<SocketAddr, Sender<TcpStream>>> =
        const { RefCell::new(BTreeMap::new()) };
    static LAST_PORT: Cell<u16> = const { Cell::new(0) };
    static BUFFER_SIZE: Cell<usize> = const { Cell::new(BUFFER) };
    static OPEN_SOCKETS: Cell<usize> = const { Cell::new(0) };
}

/// Removes all listeners, for a new schedule.
pub(crate) fn reset() {
    LISTENERS.take();
    LAST_PORT.set(40_000);
    BUFFER_SIZE.set(BUFFER);
    OPEN_SOCKETS.set(0);
}

/// Sets the size of the buffers of new connections, in bytes.
pub fn set_buffer(bytes: usize) {
    BUFFER_SIZE.set(bytes);
}

/// Returns the number of connected sockets that are open.
pub fn open_sockets() -> usize {
    OPEN_SOCKETS.get()
}

/// Returns `address`, with a new port if it has none.
pub(crate) fn with_port(mut address: SocketAddr) -> SocketAddr {
    if address.port() == 0 {
        LAST_PORT.set(LAST_PORT.get() + 1);
        address.set_port(LAST_PORT.get());
    }
    address
}

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    /// Never locked while another thread may continue.
    state: Mutex<PipeState>,
}

#[derive(Default)]
struct PipeState {
    bytes: VecDeque<u8>,
    /// The writer has sent everything.
    is_finished: bool,
    /// The reader accepts no more data.
    is_closed: bool,
    /// The connection was reset.
    is_reset: bool,
    waiting: Vec<Arc<Waiter>>,
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes both sides.
    fn change<T>(&self, change: impl FnOnce(&mut PipeState) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.iter().for_each(|waiter| waiter.wake());
        result
    }

    fn wait(&self, deadline: Option<Instant>) {
        let waiter = Waiter::new();
        self.state().waiting.push(waiter.clone());
        waiter.wait(deadline);
        self.state()
            .waiting
            .retain(|one| !Arc::ptr_eq(one, &waiter));
    }
}

#[derive(Default)]
struct Settings {
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    is_nonblocking: bool,
    resets_on_close: bool,
    is_read_shut: bool,
    is_write_shut: bool,
}

/// One end of a connection.
struct End {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    local: SocketAddr,
    peer: SocketAddr,
    settings: Mutex<Settings>,
}

impl End {
    fn pair(buffers: [(SocketAddr, Arc<Pipe>); 2]) -> [TcpStream; 2] {
        let [(first, to_first), (second, to_second)] = buffers;
        let end = |incoming: &Arc<Pipe>, outgoing: &Arc<Pipe>, local, peer| {
            OPEN_SOCKETS.set(OPEN_SOCKETS.get() + 1);
            TcpStream {
                end: Arc::new(End {
                    incoming: incoming.clone(),
                    outgoing: outgoing.clone(),
                    local,
                    peer,
                    settings: Mutex::default(),
                }),
            }
        };
        [
            end(&to_first, &to_second, first, second),
            end(&to_second, &to_first, second, first),
        ]
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_reset(&self) -> bool {
        self.incoming.state().is_reset
    }

    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let arrived = self.wait_for_data(false)?;
        if arrived == 0 {
            return Ok(0);
        }
        let count = some_of(arrived.min(bytes.len()));
        self.incoming.change(|state| {
            let read = state.bytes.drain(..count);
            bytes.iter_mut().zip(read).for_each(|(to, from)| *to = from);
        });
        Ok(count)
    }

    /// Waits for data, unless `is_nonblocking`. Returns the number of bytes that arrived, or 0 at
    /// their end.
    fn wait_for_data(&self, is_nonblocking: bool) -> io::Result<usize> {
        switch();
        let (timeout, is_nonblocking) = {
            let settings = self.settings();
            (
                settings.read_timeout,
                is_nonblocking || settings.is_nonblocking,
            )
        };
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let arrived = self.incoming.state().bytes.len();
            if arrived > 0 {
                return Ok(arrived);
            }
            let (is_reset, is_finished) = {
                let state = self.incoming.state();
                (state.is_reset, state.is_finished)
            };
            if is_reset {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if is_finished || self.settings().is_read_shut {
                return Ok(0);
            }
            if is_nonblocking || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.incoming.wait(deadline);
        }
    }

    /// Writes the first bytes of `parts`. Does not wait for room if `is_nonblocking`.
    fn write(&self, parts: &[IoSlice<'_>], is_nonblocking: bool) -> io::Result<usize> {
        switch();
        let (timeout, is_nonblocking) = {
            let settings = self.settings();
            let is_nonblocking = is_nonblocking || settings.is_nonblocking;
            (settings.write_timeout, is_nonblocking)
        };
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let len: usize = parts.iter().map(|part| part.len()).sum();
        loop {
            let (is_closed, room) = {
                let state = self.outgoing.state();
                if state.is_reset || self.settings().is_write_shut {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                let size = BUFFER_SIZE.get();
                (state.is_closed, size.saturating_sub(state.bytes.len()))
            };
            if len == 0 {
                return Ok(0);
            }
            if is_closed {
                // The peer answers data that it cannot read with a reset.
                self.reset();
                return Ok(len);
            }
            if room > 0 {
                let count = some_of(len.min(room));
                let bytes = parts.iter().flat_map(|part| part.iter().copied());
                self.outgoing
                    .change(|state| state.bytes.extend(bytes.take(count)));
                return Ok(count);
            }
            if is_nonblocking || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.outgoing.wait(deadline);
        }
    }

    fn reset(&self) {
        self.incoming.change(|state| state.is_reset = true);
        self.outgoing.change(|state| state.is_reset = true);
    }

    fn shut_down(&self, how: Shutdown) {
        switch();
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.settings().is_read_shut = true;
            self.incoming.change(|_| {});
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.settings().is_write_shut = true;
            self.outgoing.change(|state| state.is_finished = true);
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        OPEN_SOCKETS.set(OPEN_SOCKETS.get().saturating_sub(1));
        let is_unread = !self.incoming.state().bytes.is_empty();
        if is_unread || self.settings().resets_on_close {
            self.reset();
        } else {
            self.incoming.change(|state| state.is_closed = true);
            self.outgoing.change(|state| state.is_finished = true);
        }
    }
}

/// Returns `most`, or fewer in one of four cases.
fn some_of(most: usize) -> usize {
    if choose(4) == 0 {
        1 + choose(most)
    } else {
        most
    }
}

pub struct TcpStream {
    end: Arc<End>,
}

impl TcpStream {
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        switch();
        let from = with_port(SocketAddr::new(address.ip(), 0));
        Self::connect_from(from, address)
    }

    pub fn connect_timeout(address: &SocketAddr, _: Duration) -> io::Result<Self> {
        Self::connect(*address)
    }

    pub(crate) fn connect_from(from: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let listener = LISTENERS.with_borrow(|listeners| listeners.get(&to).cloned());
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let [ours, accepted] = End::pair([(from, Arc::default()), (to, Arc::default())]);
        // Fails if the listener was just dropped. The connection is then closed.
        let _ = listener.send(accepted);
        Ok(ours)
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        if self.end.is_reset() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(self.end.peer)
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.end.local)
    }

    pub fn try_clone(&self) -> io::Result<Self> {
        let end = self.end.clone();
        Ok(Self { end })
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.end.shut_down(how);
        Ok(())
    }

    /// Waits for data like a read. Copies nothing to `bytes`.
    pub fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(self.end.wait_for_data(false)?.min(bytes.len()))
    }

    /// Returns the result of a peek at one byte that does not wait.
    pub(crate) fn peek_now(&self) -> io::Result<usize> {
        Ok(self.end.wait_for_data(true)?.min(1))
    }

    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.end.settings().is_nonblocking = nonblocking;
        Ok(())
    }

    pub fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.end.settings().read_timeout = timeout;
        Ok(())
    }

    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.end.settings().write_timeout = timeout;
        Ok(())
    }

    pub(crate) fn set_linger(&self, linger: Option<Duration>) {
        self.end.settings().resets_on_close = linger == Some(Duration::ZERO);
    }

    pub(crate) fn write_parts(
        &self,
        parts: &[IoSlice<'_>],
        is_nonblocking: bool,
    ) -> io::Result<usize> {
        self.end.write(parts, is_nonblocking)
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpStream").field(&self.end.peer).finish()
    }
}

impl Read for &TcpStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.end.read(bytes)
    }
}

impl Read for TcpStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.end.read(bytes)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.end.write(&[IoSlice::new(bytes)], false)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct TcpListener {
    address: SocketAddr,
    accepted: Receiver<TcpStream>,
}

impl TcpListener {
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let address = with_port(address);
        let (sender, accepted) = unbounded();
        LISTENERS.with_borrow_mut(|listeners| {
            if listeners.contains_key(&address) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            listeners.insert(address, sender);
            Ok(Self { address, accepted })
        })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let stream = self.accepted.recv();
        let stream = stream.map_err(|_| io::ErrorKind::InvalidInput)?;
        let peer = stream.end.peer;
        Ok((stream, peer))
    }

    pub(crate) fn queue(&self) -> Receiver<TcpStream> {
        self.accepted.clone()
    }

    /// Ends all calls of [`TcpListener::accept`] once no connection waits.
    pub(crate) fn shut_down(&self) {
        LISTENERS.with_borrow_mut(|listeners| listeners.remove(&self.address));
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpListener").field(&self.address).finish()
    }
}
