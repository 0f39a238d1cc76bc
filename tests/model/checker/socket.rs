//! The part of `socket2` that the library uses.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::switch;
use crate::explore::choose;
use crate::net::{TcpListener, TcpStream, with_port};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain(bool);

impl Domain {
    pub const IPV4: Self = Self(false);
    pub const IPV6: Self = Self(true);

    pub fn for_address(address: SocketAddr) -> Self {
        Self(address.is_ipv6())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type;

impl Type {
    pub const STREAM: Self = Self;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol;

impl Protocol {
    pub const TCP: Self = Self;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SockAddr(SocketAddr);

impl SockAddr {
    pub fn as_socket(&self) -> Option<SocketAddr> {
        Some(self.0)
    }
}

impl From<SocketAddr> for SockAddr {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

#[derive(Debug, Default)]
pub struct TcpKeepalive;

impl TcpKeepalive {
    pub fn new() -> Self {
        Self
    }

    pub fn with_time(self, _: Duration) -> Self {
        self
    }

    pub fn with_interval(self, _: Duration) -> Self {
        self
    }

    pub fn with_retries(self, _: u32) -> Self {
        self
    }
}

/// Options of a connected socket.
pub struct SockRef<'a> {
    stream: &'a TcpStream,
}

impl<'a> From<&'a TcpStream> for SockRef<'a> {
    fn from(stream: &'a TcpStream) -> Self {
        Self { stream }
    }
}

impl SockRef<'_> {
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    pub fn set_tcp_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    pub fn set_tcp_keepalive(&self, _: &TcpKeepalive) -> io::Result<()> {
        Ok(())
    }

    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.stream.set_linger(linger);
        Ok(())
    }

    pub fn set_send_buffer_size(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    /// Returns the result of a peek that does not wait.
    ///
    /// # Panics
    ///
    /// Panics if the flags do not request that.
    pub fn recv_with_flags(&self, _: &mut [MaybeUninit<u8>], flags: i32) -> io::Result<usize> {
        assert_eq!(flags, libc::MSG_PEEK | libc::MSG_DONTWAIT);
        self.stream.peek_now()
    }

    pub fn send_vectored_with_flags(&self, parts: &[IoSlice<'_>], flags: i32) -> io::Result<usize> {
        self.stream
            .write_parts(parts, flags & libc::MSG_DONTWAIT != 0)
    }
}

#[derive(Debug)]
pub struct Socket {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    New { local: Option<SocketAddr> },
    Connecting { local: SocketAddr, peer: SocketAddr },
    Connected(TcpStream),
    Listening(TcpListener),
}

impl Socket {
    pub fn new(_: Domain, _: Type, _: Option<Protocol>) -> io::Result<Self> {
        let state = Mutex::new(State::New { local: None });
        Ok(Self { state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn set_only_v6(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn set_reuse_address(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// Ignores the size, which [`set_buffer`](crate::net::set_buffer) sets.
    pub fn set_recv_buffer_size(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    /// Ignores the timeout, which a listener does not have here.
    pub fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        if let State::Connected(stream) = &*self.state() {
            stream.set_linger(linger);
        }
        Ok(())
    }

    pub fn bind(&self, address: &SockAddr) -> io::Result<()> {
        let local = Some(with_port(address.0));
        *self.state() = State::New { local };
        Ok(())
    }

    pub fn listen(&self, _: i32) -> io::Result<()> {
        let mut state = self.state();
        if let State::New { local: Some(local) } = *state {
            *state = State::Listening(TcpListener::bind(local)?);
        }
        Ok(())
    }

    /// Begins to connect. The connection is established at once, or later.
    pub fn connect(&self, address: &SockAddr) -> io::Result<()> {
        switch();
        let peer = address.0;
        let local = self.local(peer);
        if choose(2) == 0 {
            *self.state() = State::Connecting { local, peer };
            return Err(io::Error::from_raw_os_error(libc::EINPROGRESS));
        }
        *self.state() = State::Connected(TcpStream::connect_from(local, peer)?);
        Ok(())
    }

    pub fn connect_timeout(&self, address: &SockAddr, _: Duration) -> io::Result<()> {
        switch();
        let peer = address.0;
        let local = self.local(peer);
        let stream = TcpStream::connect_from(local, peer)?;
        *self.state() = State::Connected(stream);
        Ok(())
    }

    fn local(&self, peer: SocketAddr) -> SocketAddr {
        match &*self.state() {
            State::New { local: Some(local) } => *local,
            _ => with_port(SocketAddr::new(peer.ip(), 0)),
        }
    }

    /// Establishes a pending connection, or returns why it failed.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        switch();
        let State::Connecting { local, peer } = *self.state() else {
            return Ok(None);
        };
        if choose(2) == 0 {
            return Ok(None);
        }
        match TcpStream::connect_from(local, peer) {
            Ok(stream) => {
                *self.state() = State::Connected(stream);
                Ok(None)
            }
            Err(error) => Ok(Some(error)),
        }
    }

    pub fn peer_addr(&self) -> io::Result<SockAddr> {
        match &*self.state() {
            State::Connected(stream) => stream.peer_addr().map(SockAddr),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub fn local_addr(&self) -> io::Result<SockAddr> {
        match &*self.state() {
            State::New { local: Some(local) } | State::Connecting { local, .. } => {
                Ok(SockAddr(*local))
            }
            State::New { local: None } => Err(io::ErrorKind::InvalidInput.into()),
            State::Connected(stream) => stream.local_addr().map(SockAddr),
            State::Listening(listener) => listener.local_addr().map(SockAddr),
        }
    }

    pub fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        let accepted = match &*self.state() {
            State::Listening(listener) => listener.queue(),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let stream = accepted.recv();
        let stream = stream.map_err(|_| io::ErrorKind::InvalidInput)?;
        let peer = stream.peer_addr().or_else(|_| stream.local_addr())?;
        let state = Mutex::new(State::Connected(stream));
        Ok((Self { state }, SockAddr(peer)))
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match &*self.state() {
            State::Connected(stream) => stream.shutdown(how),
            State::Listening(listener) => {
                listener.shut_down();
                Ok(())
            }
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl From<Socket> for TcpStream {
    /// # Panics
    ///
    /// Panics if the socket is not connected.
    fn from(socket: Socket) -> Self {
        let state = socket.state.into_inner();
        match state.unwrap_or_else(PoisonError::into_inner) {
            State::Connected(stream) => stream,
            state => panic!("the socket is not connected: {state:?}"),
        }
    }
}

impl From<Socket> for TcpListener {
    /// # Panics
    ///
    /// Panics if the socket does not listen.
    fn from(socket: Socket) -> Self {
        let state = socket.state.into_inner();
        match state.unwrap_or_else(PoisonError::into_inner) {
            State::Listening(listener) => listener,
            state => panic!("the socket does not listen: {state:?}"),
        }
    }
}
