//! A TCP socket with the waits that a peer needs.

use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use crate::sockets::is_timeout;

/// How long a blocking write waits at most before its deadline is looked at.
const WRITE_STEP: Duration = Duration::from_secs(1);

/// The waits of a read; the system is told only when the step changes.
const READ_STEPS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_millis(100),
    Duration::from_millis(10),
];

/// A connected socket. Reading and writing may be done by two threads.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    peer: SocketAddr,
}

impl Stream {
    /// Prepares a connected socket: blocking, without Nagle's delay, probed by TCP after `keepalive`. A write waits for
    /// `write_wait`, at most a second.
    ///
    /// A socket that has been reset meanwhile does not know its peer any more, but holds what came before.
    pub(super) fn new(
        tcp: TcpStream,
        peer: SocketAddr,
        keepalive: Option<Duration>,
        write_wait: Duration,
    ) -> io::Result<Self> {
        let socket = SockRef::from(&tcp);
        socket.set_nonblocking(false)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_write_timeout(Some(write_wait.min(WRITE_STEP)))?;
        if let Some(idle) = keepalive {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
        }
        Ok(Self { tcp, peer })
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether the system can be asked to write without waiting, whatever the socket's mode.
    pub(super) const WRITES_WITHOUT_WAITING: bool = cfg!(unix);

    /// Writes what the system takes at once; 0 if it takes nothing now.
    pub(super) fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.write(parts, flags::DONT_WAIT) {
            Err(error) if is_timeout(&error) => Ok(0),
            result => result,
        }
    }

    /// Writes what the system takes within the wait of a write; 0 if it takes nothing.
    pub(super) fn write_soon(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.write(parts, 0) {
            Err(error) if is_timeout(&error) => Ok(0),
            result => result,
        }
    }

    pub(super) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.tcp.set_nonblocking(nonblocking)
    }

    /// Says that nothing more will be written. Reading goes on.
    pub(super) fn finish_writing(&self) {
        // A socket that is closed already cannot be written to either.
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    /// Lets whoever reads come to an end. Writing goes on.
    pub(super) fn stop_reading(&self) {
        // A socket that is closed already cannot be read either.
        let _ = self.tcp.shutdown(Shutdown::Read);
    }

    /// Discards received data until the peer closes its direction, the socket fails, the deadline
    /// passes or `is_stopped` returns true. `is_stopped` is called at least once a second.
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

    /// Where the connection begins, with a port that another one may have as well.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        let mut address = self.tcp.local_addr()?;
        address.set_port(0);
        Ok(address)
    }

    /// Ends both directions and wakes whoever reads or writes. Never blocks.
    pub(super) fn shut_down(&self) {
        // A socket that is closed already is what is wanted.
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

impl Read for &Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&self.tcp).read(bytes)
    }
}

/// The waiting time of the reads of one thread.
#[derive(Debug, Default)]
pub(super) struct ReadWait {
    set: Option<Duration>,
}

impl ReadWait {
    /// Lets the next read of `stream` wait until about `deadline`, at most a second.
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
        let step = fitting.unwrap_or(READ_STEPS[2]);
        if self.set != Some(step) {
            SockRef::from(&stream.tcp).set_read_timeout(Some(step))?;
            self.set = Some(step);
        }
        Ok(())
    }
}

mod flags {
    #[cfg(unix)]
    pub(super) const DONT_WAIT: i32 = libc::MSG_DONTWAIT;
    #[cfg(not(unix))]
    pub(super) const DONT_WAIT: i32 = 0;

    /// A write to a closed socket shall be an error and no signal, whatever program we are part of.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    pub(super) const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    pub(super) const NO_SIGNAL: i32 = 0;
}
