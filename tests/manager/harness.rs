//! What the tests share: a manager on regtest, and waits with a deadline.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::{Manager, ManagerConfig, Network};
use crossbeam_channel::Receiver;
use socket2::{Domain, Socket, Type};

use crate::raw_peer::RawPeer;

/// Ten times what anything here should take.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A configuration for regtest whose pauses are short.
pub(crate) fn config() -> ManagerConfig {
    let mut config = ManagerConfig::new(Network::Regtest);
    config.restarts.backoff = Duration::from_millis(50);
    config.restarts.max_backoff = Duration::from_millis(400);
    config
}

/// The same with a listener at a port that the system chooses.
pub(crate) fn listening() -> ManagerConfig {
    let mut config = config();
    config.target_connections = 0;
    config.listener.enabled = true;
    config.listener.address = Some("127.0.0.1:0".parse().unwrap());
    config
}

pub(crate) fn manager(config: ManagerConfig) -> Manager {
    Manager::new(config).unwrap()
}

/// A manager that has started and listens, what it tells, and where it listens.
#[track_caller]
pub(crate) fn running(config: ManagerConfig) -> (Manager, Receiver<ControlEvent>, SocketAddr) {
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let address = started(&events);
    (manager, events, address)
}

/// The first event for which `wanted` has an answer. Those before are dropped.
#[track_caller]
pub(crate) fn wait_for<T>(
    events: &Receiver<ControlEvent>,
    mut wanted: impl FnMut(&ControlEvent) -> Option<T>,
) -> T {
    let deadline = Instant::now() + LIMIT;
    let mut seen = Vec::new();
    while let Ok(event) = events.recv_deadline(deadline) {
        if let Some(found) = wanted(&event) {
            return found;
        }
        seen.push(event.to_string());
    }
    panic!("what was waited for did not come; events: {seen:#?}");
}

/// Where the manager listens.
#[track_caller]
pub(crate) fn started(events: &Receiver<ControlEvent>) -> SocketAddr {
    wait_for(events, |event| match event {
        ControlEvent::ListenerStarted { address } => Some(*address),
        _ => None,
    })
}

/// Looks again and again, for want of an event, until `is_so`.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// Dials a listener from one of the many addresses that this machine has.
#[track_caller]
pub(crate) fn dial_from(from: impl Into<Ipv4Addr>, address: SocketAddr) -> RawPeer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((from.into(), 0)).into())
        .unwrap();
    socket.connect_timeout(&address.into(), LIMIT).unwrap();
    RawPeer::new(socket.into())
}
