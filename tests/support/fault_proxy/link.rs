//! The two sockets of one connection through the proxy.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};
use parking_lot::Mutex;
use socket2::SockRef;

use super::Way;

/// How long a wait on a socket lasts before it is asked whether it shall end.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// A flag whose raising wakes everyone who waits for it.
#[derive(Debug)]
pub(super) struct Stop {
    /// Nothing is ever sent: that it is gone is the flag.
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

/// The connection has ended, or the proxy.
#[derive(Debug)]
pub(super) struct Ended;

/// Both sockets. They are closed when the pumps of both directions have let go.
#[derive(Debug)]
pub(super) struct Link {
    dialler: TcpStream,
    target: TcpStream,
    /// Set when this connection shall end.
    ended: Stop,
    /// Set when the proxy ends.
    stop: Arc<Stop>,
}

impl Link {
    pub(super) fn new(dialler: TcpStream, target: TcpStream, stop: Arc<Stop>) -> Self {
        for socket in [&dialler, &target] {
            socket.set_read_timeout(Some(LOOK)).unwrap();
            socket.set_write_timeout(Some(LOOK)).unwrap();
            socket.set_nodelay(true).unwrap();
        }
        Self {
            dialler,
            target,
            ended: Stop::default(),
            stop,
        }
    }

    fn sockets(&self, way: Way) -> (&TcpStream, &TcpStream) {
        match way {
            Way::ToTarget => (&self.dialler, &self.target),
            Way::ToDialler => (&self.target, &self.dialler),
        }
    }

    /// The next bytes of the sender; 0 when it has closed. One that has reset its end resets the other.
    pub(super) fn read(&self, way: Way, bytes: &mut [u8]) -> Result<usize, Ended> {
        self.wait(|| self.sockets(way).0.read(bytes))
    }

    /// Passes bytes on to the receiver. One that is gone resets the sender.
    pub(super) fn write(&self, way: Way, mut bytes: &[u8]) -> Result<(), Ended> {
        while !bytes.is_empty() {
            let written = self.wait(|| self.sockets(way).1.write(bytes))?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Waits so long, unless the connection ends before.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Ended> {
        select! {
            recv(self.ended.raised) -> _ => Err(Ended),
            recv(self.stop.raised) -> _ => Err(Ended),
            default(time) => Ok(()),
        }
    }

    /// Waits until the connection ends, or the proxy.
    pub(super) fn stall(&self) -> Ended {
        select! {
            recv(self.ended.raised) -> _ => Ended,
            recv(self.stop.raised) -> _ => Ended,
        }
    }

    /// Tells the receiver that nothing more comes.
    pub(super) fn close_writing(&self, way: Way) {
        // A receiver that is gone needs no telling.
        let _ = self.sockets(way).1.shutdown(Shutdown::Write);
    }

    /// Lets the pumps go, which closes both sockets.
    pub(super) fn close(&self) {
        self.ended.set();
    }

    /// Like [`Link::close`], but both sides see a reset.
    pub(super) fn reset(&self) {
        for socket in [&self.dialler, &self.target] {
            // A socket that has been reset already is what is wanted.
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
