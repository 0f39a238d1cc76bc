//! Shared helpers: a manager on regtest, and waits with a deadline.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::{Manager, ManagerConfig, Network};
use socket2::{Domain, Socket, Type};
use test_support::raw_peer::RawPeer;

/// Ten times the expected maximum duration.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The polling interval of conditions without an event.
const POLL: Duration = Duration::from_millis(1);

/// The maximum delay of a good peer on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// The pause between two pings of a good peer.
pub(crate) const PING_PAUSE: Duration = Duration::from_millis(5);

/// Returns a configuration for regtest with short pauses.
pub(crate) fn config() -> ManagerConfig {
    let mut config = ManagerConfig::new(Network::Regtest);
    config.restarts.backoff = Duration::from_millis(50);
    config.restarts.max_backoff = Duration::from_millis(400);
    config
}

/// Like [`config`], with a listener at a port chosen by the system.
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

/// Starts a listening manager. Returns its events and its address, too.
#[track_caller]
pub(crate) fn running(config: ManagerConfig) -> (Manager, EventReceiver<ControlEvent>, SocketAddr) {
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager.start().unwrap();
    let address = started(&events);
    (manager, events, address)
}

/// Returns the first result of `wanted`. Earlier events are dropped.
#[track_caller]
pub(crate) fn wait_for<T>(
    events: &EventReceiver<ControlEvent>,
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

/// Returns the listening address of the manager.
#[track_caller]
pub(crate) fn started(events: &EventReceiver<ControlEvent>) -> SocketAddr {
    wait_for(events, |event| match event {
        ControlEvent::ListenerStarted { address } => Some(*address),
        _ => None,
    })
}

/// Polls until `is_so` returns true, if there is no event.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::park_timeout(POLL);
    }
}

/// Dials a listener from one of the loopback addresses.
#[track_caller]
pub(crate) fn dial_from(from: impl Into<Ipv4Addr>, address: SocketAddr) -> RawPeer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((from.into(), 0)).into())
        .unwrap();
    socket.connect_timeout(&address.into(), LIMIT).unwrap();
    RawPeer::new(socket.into())
}

/// Returns the time until a ping is answered.
#[track_caller]
pub(crate) fn round_trip(peer: &mut RawPeer, nonce: u64) -> Duration {
    let began = Instant::now();
    peer.ping(nonce);
    began.elapsed()
}

/// The round trips of a peer to an idle manager: the speed of the machine during a measurement.
#[derive(Debug)]
pub(crate) struct IdleRoundTrips {
    mean: Duration,
    slowest: Duration,
}

impl IdleRoundTrips {
    /// Returns the maximum delay of a peer whose request is not delayed by others, except for
    /// `steps` earlier operations that each take one round trip. On an idle machine the delay is
    /// about [`SOON`].
    pub(crate) fn max_delay(&self, steps: u32) -> Duration {
        SOON + self.slack(steps)
    }

    /// Returns the tolerance for work that takes as long as `steps` round trips, or less.
    fn slack(&self, steps: u32) -> Duration {
        5 * self.slowest + steps * self.mean
    }
}

/// Runs `work`, and asserts that it takes less than `limit`. On a loaded machine it may take longer,
/// by the time of `steps` round trips to an idle manager.
#[track_caller]
pub(crate) fn assert_within<T: Send>(
    limit: Duration,
    steps: u32,
    work: impl FnOnce() -> T + Send,
) -> T {
    let ((result, took), idle) = with_idle_round_trips(|| {
        let began = Instant::now();
        (work(), began.elapsed())
    });
    assert!(took < limit + idle.slack(steps), "{took:?}, {idle:?}");
    result
}

/// Runs `work` while a peer measures its round trips to an idle manager in this process. Returns
/// the result and the round trips.
///
/// Other processes delay all threads. A delay in `work` that the idle manager does not have is
/// caused by `work`.
pub(crate) fn with_idle_round_trips<T: Send>(
    work: impl FnOnce() -> T + Send,
) -> (T, IdleRoundTrips) {
    let (_manager, _events, address) = running(listening());
    let mut peer = RawPeer::dial(address);
    peer.shake_hands();
    let mut trips = Vec::new();
    let result = thread::scope(|scope| {
        let work = scope.spawn(work);
        loop {
            let is_last = work.is_finished();
            trips.push(round_trip(&mut peer, trips.len() as u64 + 1));
            if is_last {
                return work.join().unwrap();
            }
            thread::park_timeout(PING_PAUSE);
        }
    });
    let mean = trips.iter().sum::<Duration>() / trips.len() as u32;
    let slowest = trips.into_iter().max().unwrap_or_default();
    (result, IdleRoundTrips { mean, slowest })
}
