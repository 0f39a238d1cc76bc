//! A TCP proxy that does to the bytes what a bad network, or a bad machine on the way, may do to them.
//!
//! Each connection that it accepts has a [`FaultPlan`] of its own: faults at byte offsets, for each direction. A plan that is drawn from a
//! seed is the same in every run, and its `Debug` form says what it does. Dropping the proxy ends its connections and
//! joins its threads. A test crate takes this module in with `#[path]`, and `seeded.rs` beside it as `crate::seeded`.

// Every test crate compiles this module anew and uses the part of it that it needs.
#![allow(dead_code)]

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

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From who has dialled the proxy to the target.
    ToTarget,
    /// From the target to who has dialled the proxy.
    ToDialler,
}

/// A fault that has happened.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    /// Which of the proxy's connections, counted from 0.
    pub(crate) connection: usize,
    pub(crate) way: Way,
    pub(crate) fault: Fault,
    /// Where in the stream of frames that the sender wrote.
    pub(crate) place: Place,
}

/// The proxy, between whoever dials its address and the target.
#[derive(Debug)]
pub(crate) struct FaultProxy {
    address: SocketAddr,
    stop: Arc<Stop>,
    strikes: Arc<Mutex<Vec<Strike>>>,
    listening: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1. `plan` gives the faults of the n-th connection, counted from 0.
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

    /// Where to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened so far, but for what only slows the bytes down.
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
        let Ok((dialler, _)) = listener.accept() else {
            continue;
        };
        // A target that is not there ends the dialler's connection as well.
        let Ok(target) = TcpStream::connect_timeout(&target, 50 * LOOK) else {
            continue;
        };
        let link = Arc::new(Link::new(dialler, target, stop.clone()));
        let FaultPlan {
            to_target,
            to_dialler,
        } = plan(connections);
        for (way, faults) in [(Way::ToTarget, to_target), (Way::ToDialler, to_dialler)] {
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
