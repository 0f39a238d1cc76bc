//! A TCP proxy that applies the faults of a bad network or machine to the bytes.
//!
//! Each connection has its own [`FaultPlan`]: faults at byte offsets, for each direction. A plan
//! from a seed is identical in every run, and its `Debug` form describes it. Dropping the proxy
//! closes its connections and joins its threads.

mod link;
mod place;
mod plan;
mod pump;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};

use self::link::{LOOK, Link, Stop};
pub(crate) use self::place::Place;
pub(crate) use self::plan::{Fault, FaultKind, FaultPlan};

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the dialing side to the target.
    ToTarget,
    /// From the target to the dialing side.
    ToDialer,
}

/// A fault that has happened.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    /// The number of the connection, counted from 0.
    pub(crate) connection: usize,
    pub(crate) way: Way,
    pub(crate) fault: Fault,
    /// The place in the stream of frames of the sender.
    pub(crate) place: Place,
}

/// The proxy between its clients and the target.
#[derive(Debug)]
pub(crate) struct FaultProxy {
    address: SocketAddr,
    stop: Arc<Stop>,
    strikes: Arc<Mutex<Vec<Strike>>>,
    listening: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1. `plan` returns the faults of the n-th connection,
    /// counted from 0.
    pub(crate) fn start(
        target: SocketAddr,
        plan: impl Fn(usize) -> FaultPlan + Send + 'static,
    ) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any_port.into()).unwrap();
        socket.listen(16).unwrap();
        socket.set_read_timeout(Some(LOOK)).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let (stop, strikes) = (Arc::<Stop>::default(), Arc::default());
        let listening = {
            let (stop, strikes) = (stop.clone(), Arc::clone(&strikes));
            thread::spawn(move || listen(&listener, target, &plan, &stop, &strikes))
        };
        Self {
            address,
            stop,
            strikes,
            listening: Some(listening),
        }
    }

    /// Returns the address to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the strikes so far, without those that only delay bytes.
    pub(crate) fn strikes(&self) -> Vec<Strike> {
        self.strikes.lock().clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(listening) = self.listening.take() {
            let ended = listening.join();
            assert!(
                ended.is_ok() || thread::panicking(),
                "a thread of the proxy panicked"
            );
        }
    }
}

fn listen(
    listener: &TcpListener,
    target: SocketAddr,
    plan: &dyn Fn(usize) -> FaultPlan,
    stop: &Arc<Stop>,
    strikes: &Arc<Mutex<Vec<Strike>>>,
) {
    let mut pumps: Vec<JoinHandle<()>> = Vec::new();
    let mut connections = 0;
    while !stop.is_set() {
        let Ok((dialer, _)) = listener.accept() else {
            continue;
        };
        // An unreachable target closes the connection of the dialing side.
        let Ok(target) = TcpStream::connect_timeout(&target, 50 * LOOK) else {
            continue;
        };
        let link = Arc::new(Link::new(dialer, target, stop.clone()));
        let FaultPlan {
            to_target,
            to_dialer,
        } = plan(connections);
        for (way, faults) in [(Way::ToTarget, to_target), (Way::ToDialer, to_dialer)] {
            let (link, strikes) = (link.clone(), Arc::clone(strikes));
            pumps.push(thread::spawn(move || {
                pump::run(&link, way, &faults, |fault, place| {
                    strikes.lock().push(Strike {
                        connection: connections,
                        way,
                        fault,
                        place,
                    });
                });
            }));
        }
        connections += 1;
    }
    for pump in pumps {
        pump.join().expect("a pump of the proxy");
    }
}
