//! TCP socket with read and write timeouts.

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use super::close_cell::CloseTarget;
use crate::sockets::is_timeout;

/// The maximum duration of a blocking write, after which its deadline is checked.
const WRITE_STEP: Duration = Duration::from_secs(1);

/// The timeouts of reads. The socket option is set only if the timeout changes.
const READ_STEPS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_millis(100),
    Duration::from_millis(10),
];

/// The maximum duration of [`Stream::wait_for_data`].
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// A connected socket. One thread may read while another one writes.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    peer: SocketAddr,
}

impl Stream {
    /// Prepares a connected socket: blocking, without Nagle's algorithm, and with TCP probes after
    /// `keepalive`. A blocking write takes at most `write_wait`, and at most 1 s.
    ///
    /// `peer` is passed separately, because a socket that was reset no longer has a remote address.
    /// The data that it received before the reset can still be read.
    pub(super) fn new(
        tcp: TcpStream,
        peer: SocketAddr,
        keepalive: Option<Duration>,
        write_wait: Duration,
    ) -> io::Result<Self> {
        let socket = SockRef::from(&tcp);
        socket.set_nonblocking(false)?;
        socket.set_tcp_nodelay(true)?;
        // Rounds up to the resolution of the option, unlike `socket2`. Zero would mean no timeout.
        tcp.set_write_timeout(Some(write_wait.min(WRITE_STEP)))?;
        if let Some(idle) = keepalive {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
        }
        Ok(Self { tcp, peer })
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether the system supports single nonblocking operations on a blocking socket.
    pub(super) const SUPPORTS_NONBLOCKING_CALLS: bool = cfg!(unix);

    /// Writes as much as possible without blocking. Returns 0 if the socket would block.
    pub(super) fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.write(parts, flags::DONT_WAIT) {
            Err(error) if is_timeout(&error) => Ok(0),
            result => result,
        }
    }

    /// Writes within the write timeout. Returns 0 if the timeout expires.
    pub(super) fn write_soon(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.write(parts, 0) {
            Err(error) if is_timeout(&error) => Ok(0),
            result => result,
        }
    }

    /// Waits until data, EOF or an error can be read, for at most 30 s. Nothing is read. `wait` is
    /// the read timeout of the socket.
    pub(super) fn wait_for_data(&self, wait: &mut ReadWait) {
        // The next read returns an error of either call.
        if wait.set(self, IDLE_WAIT).is_ok() {
            let _ = self.tcp.peek(&mut [0]);
        }
    }

    /// Returns whether data, EOF or an error can be read. Does not block.
    ///
    /// Always `true` without [`Stream::SUPPORTS_NONBLOCKING_CALLS`].
    pub(super) fn has_data(&self) -> bool {
        if !Self::SUPPORTS_NONBLOCKING_CALLS {
            return true;
        }
        let socket = SockRef::from(&self.tcp);
        let peeked =
            socket.recv_with_flags(&mut [MaybeUninit::uninit()], flags::PEEK | flags::DONT_WAIT);
        !peeked.is_err_and(|error| is_timeout(&error))
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.tcp.set_nonblocking(nonblocking)
    }

    /// Shuts down the write direction. Reads continue.
    pub(super) fn finish_writing(&self) {
        // Fails only if the socket is already closed.
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    /// Shuts down the read direction, which ends a blocking read. Writes continue.
    pub(super) fn stop_reading(&self) {
        // Fails only if the socket is already closed.
        let _ = self.tcp.shutdown(Shutdown::Read);
    }

    /// Discards received data until the peer closes its direction, the socket fails, the deadline
    /// passes or `is_stopped` returns true. `is_stopped` is called at least once a second.
    ///
    /// Not inlined, because its buffer would be part of the stack of every connection.
    #[inline(never)]
    pub(super) fn discard_until(&self, deadline: Instant, is_stopped: impl Fn() -> bool) {
        let mut unread = [0; 4096];
        let mut wait = ReadWait::default();
        loop {
            let now = Instant::now();
            if now >= deadline || is_stopped() {
                return;
            }
            let waits = wait.until(self, Some(deadline), now);
            match waits.and_then(|()| (&mut &*self).read(&mut unread)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if is_timeout(&error) || error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Returns the local address with port 0, so that another connection can be bound to it.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        let mut address = self.tcp.local_addr()?;
        address.set_port(0);
        Ok(address)
    }

    /// Shuts down both directions, which ends blocking reads and writes. Does not block.
    pub(super) fn shut_down(&self) {
        // Fails only if the socket is already closed.
        let _ = self.tcp.shutdown(Shutdown::Both);
    }

    fn write(&self, parts: &[IoSlice<'_>], flags: i32) -> io::Result<usize> {
        let socket = SockRef::from(&self.tcp);
        loop {
            match socket.send_vectored_with_flags(parts, flags | flags::NO_SIGNAL) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl CloseTarget for Stream {
    fn shut_down(&self) {
        Stream::shut_down(self);
    }
}

impl Read for &Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&self.tcp).read(bytes)
    }
}

/// The read timeout of a socket, as set by one thread.
#[derive(Debug, Default)]
pub(super) struct ReadWait {
    set: Option<Duration>,
}

impl ReadWait {
    /// Sets the read timeout so that the next read of `stream` ends at about `deadline`, and after
    /// at most 1 s.
    pub(super) fn until(
        &mut self,
        stream: &Stream,
        deadline: Option<Instant>,
        now: Instant,
    ) -> io::Result<()> {
        let left = deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(now)
        });
        let fitting = READ_STEPS.into_iter().find(|step| *step <= left);
        self.set(stream, fitting.unwrap_or(READ_STEPS[2]))
    }

    fn set(&mut self, stream: &Stream, timeout: Duration) -> io::Result<()> {
        if self.set != Some(timeout) {
            stream.tcp.set_read_timeout(Some(timeout))?;
            self.set = Some(timeout);
        }
        Ok(())
    }
}

mod flags {
    #[cfg(unix)]
    pub(super) const PEEK: i32 = libc::MSG_PEEK;
    #[cfg(not(unix))]
    pub(super) const PEEK: i32 = 0;
    #[cfg(unix)]
    pub(super) const DONT_WAIT: i32 = libc::MSG_DONTWAIT;
    #[cfg(not(unix))]
    pub(super) const DONT_WAIT: i32 = 0;

    /// Makes a write to a closed socket fail instead of raising `SIGPIPE`, whatever the process
    /// does with that signal.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    pub(super) const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    pub(super) const NO_SIGNAL: i32 = 0;
}
