//! The two sockets of one connection through the proxy.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};
use parking_lot::Mutex;
use socket2::SockRef;

use super::Way;

/// The interval at which a blocked socket call checks for the stop signal.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// A flag that wakes all waiting threads when it is set.
#[derive(Debug)]
pub(super) struct Stop {
    /// Used as a flag only: set when it is dropped.
    lowered: Mutex<Option<Sender<()>>>,
    raised: Receiver<()>,
}

impl Default for Stop {
    fn default() -> Self {
        let (lowered, raised) = bounded(0);
        Self {
            lowered: Mutex::new(Some(lowered)),
            raised,
        }
    }
}

impl Stop {
    pub(super) fn set(&self) {
        *self.lowered.lock() = None;
    }

    pub(super) fn is_set(&self) -> bool {
        self.raised.try_recv() == Err(TryRecvError::Disconnected)
    }
}

/// The connection or the proxy has ended.
#[derive(Debug)]
pub(super) struct Ended;

/// Both sockets. They are closed when the pumps of both directions have dropped them.
#[derive(Debug)]
pub(super) struct Link {
    dialer: TcpStream,
    target: TcpStream,
    /// Set to end this connection.
    ended: Stop,
    /// Set when the proxy ends.
    stop: Arc<Stop>,
}

impl Link {
    pub(super) fn new(dialer: TcpStream, target: TcpStream, stop: Arc<Stop>) -> Self {
        for socket in [&dialer, &target] {
            socket.set_read_timeout(Some(LOOK)).unwrap();
            socket.set_write_timeout(Some(LOOK)).unwrap();
            socket.set_nodelay(true).unwrap();
        }
        Self {
            dialer,
            target,
            ended: Stop::default(),
            stop,
        }
    }

    fn sockets(&self, way: Way) -> (&TcpStream, &TcpStream) {
        match way {
            Way::ToTarget => (&self.dialer, &self.target),
            Way::ToDialer => (&self.target, &self.dialer),
        }
    }

    /// Reads the next bytes of the sender; 0 when it has closed. A reset of the sender resets the
    /// receiver.
    pub(super) fn read(&self, way: Way, bytes: &mut [u8]) -> Result<usize, Ended> {
        self.wait(|| self.sockets(way).0.read(bytes))
    }

    /// Writes bytes to the receiver. A closed receiver resets the sender.
    pub(super) fn write(&self, way: Way, mut bytes: &[u8]) -> Result<(), Ended> {
        while !bytes.is_empty() {
            let written = self.wait(|| self.sockets(way).1.write(bytes))?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Waits for this time, unless the connection ends before.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Ended> {
        select! {
            recv(self.ended.raised) -> _ => Err(Ended),
            recv(self.stop.raised) -> _ => Err(Ended),
            default(time) => Ok(()),
        }
    }

    /// Waits until the connection or the proxy ends.
    pub(super) fn stall(&self) -> Ended {
        select! {
            recv(self.ended.raised) -> _ => Ended,
            recv(self.stop.raised) -> _ => Ended,
        }
    }

    /// Shuts down the write half towards the receiver.
    pub(super) fn close_writing(&self, way: Way) {
        // The receiver may be gone.
        let _ = self.sockets(way).1.shutdown(Shutdown::Write);
    }

    /// Ends the pumps, which closes both sockets.
    pub(super) fn close(&self) {
        self.ended.set();
    }

    /// Like [`Link::close`], but both sides see a reset.
    pub(super) fn reset(&self) {
        for socket in [&self.dialer, &self.target] {
            // The socket may have been reset already.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
        self.ended.set();
    }

    fn check(&self) -> Result<(), Ended> {
        if self.ended.is_set() || self.stop.is_set() {
            Err(Ended)
        } else {
            Ok(())
        }
    }

    fn wait(&self, mut call: impl FnMut() -> io::Result<usize>) -> Result<usize, Ended> {
        loop {
            self.check()?;
            match call() {
                Ok(len) => return Ok(len),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(_) => {
                    self.reset();
                    return Err(Ended);
                }
            }
        }
    }
}
