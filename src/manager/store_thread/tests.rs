//! Tests of the store thread: timing of writes, and stores that fail, panic or hang.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use crossbeam_channel::unbounded;

use super::*;
use crate::peers::{Ban, BanConfig, BanList, BanReason, Peer, PeerId, PeerSource, PeerStatusKind};

mod failures;

/// Timeout of operations that usually take less than a second.
const DEADLINE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);
/// A pace at which nothing is written a second time during a test.
const SLOW: Pace = Pace {
    rest: HOUR,
    retry: HOUR,
};
/// A pace at which nothing is retried during a test.
const NO_RETRY: Pace = Pace {
    rest: Duration::ZERO,
    retry: HOUR,
};

/// A recorded call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Update(PeerId),
    Create(PeerId),
    Delete(PeerId),
    Bans(usize),
    Save,
}

type Answer = Box<dyn Fn(Call) -> Result<(), StoreError> + Send + Sync>;

/// A store that records each call and returns the result of a closure. Successful calls are
/// forwarded to a store in memory.
struct Scripted {
    inner: InMemoryPeerStore,
    calls: Sender<(Call, Instant)>,
    answer: Answer,
}

impl Scripted {
    fn on(&self, call: Call) -> Result<(), StoreError> {
        // The test may have dropped the receiver.
        let _ = self.calls.send((call, Instant::now()));
        (self.answer)(call)
    }
}

impl PeerStore for Scripted {
    fn create(&self, peer: Peer, now: SystemTime) -> Result<Option<Peer>, StoreError> {
        self.on(Call::Create(peer.id))?;
        self.inner.create(peer, now)
    }
    fn read(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
        self.inner.read(id)
    }
    fn update(&self, peer: Peer) -> Result<(), StoreError> {
        self.on(Call::Update(peer.id))?;
        self.inner.update(peer)
    }
    fn delete(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
        self.on(Call::Delete(id))?;
        self.inner.delete(id)
    }
    fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
        self.inner.list_all()
    }
    fn find_by_status(&self, status: PeerStatusKind) -> Result<Vec<Peer>, StoreError> {
        self.inner.find_by_status(status)
    }
    fn find_by_ip_port(&self, ip_address: IpAddr, port: u16) -> Result<Option<Peer>, StoreError> {
        self.inner.find_by_ip_port(ip_address, port)
    }
    fn count_by_status(&self, status: PeerStatusKind) -> Result<usize, StoreError> {
        self.inner.count_by_status(status)
    }
    fn read_bans(&self) -> Result<Vec<Ban>, StoreError> {
        self.inner.read_bans()
    }
    fn write_bans(&self, bans: Vec<Ban>) -> Result<(), StoreError> {
        self.on(Call::Bans(bans.len()))?;
        self.inner.write_bans(bans)
    }
    fn save(&self) -> Result<(), StoreError> {
        self.on(Call::Save)
    }
}

fn scripted(
    max_peers: usize,
    answer: impl Fn(Call) -> Result<(), StoreError> + Send + Sync + 'static,
) -> (Arc<Scripted>, Receiver<(Call, Instant)>) {
    let (sender, calls) = unbounded();
    let store = Scripted {
        inner: InMemoryPeerStore::new(max_peers),
        calls: sender,
        answer: Box::new(answer),
    };
    (Arc::new(store), calls)
}

/// A store thread with a scripted store and its receivers.
struct Bench {
    thread: StoreThread,
    store: Arc<Scripted>,
    calls: Receiver<(Call, Instant)>,
    failures: Receiver<StoreError>,
}

impl Bench {
    fn new(
        pace: Pace,
        answer: impl Fn(Call) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self::with_room_for(100, 16, pace, answer)
    }

    fn with_room_for(
        max_peers: usize,
        max_failures: usize,
        pace: Pace,
        answer: impl Fn(Call) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Self {
        let (store, calls) = scripted(max_peers, answer);
        let (sender, failures) = bounded(max_failures);
        let thread = StoreThread::start_with(store.clone(), sender, pace).unwrap();
        Self {
            thread,
            store,
            calls,
            failures,
        }
    }

    #[track_caller]
    fn next_call(&self) -> (Call, Instant) {
        self.calls.recv_timeout(DEADLINE).expect("a call in time")
    }

    #[track_caller]
    fn expect_calls(&self, expected: &[Call]) {
        for call in expected {
            assert_eq!(self.next_call().0, *call);
        }
    }

    #[track_caller]
    fn expect_failure(&self) -> StoreError {
        let failure = self.failures.recv_timeout(DEADLINE);
        failure.expect("a failure in time")
    }

    /// Shuts the thread down. Returns the result, the calls that were not yet received, and the
    /// store.
    fn finish(self) -> (Result<(), FinishError>, Vec<Call>, Arc<Scripted>) {
        let result = self.thread.finish(Instant::now() + DEADLINE);
        let calls = self.calls.try_iter().map(|(call, _)| call).collect();
        (result, calls, self.store)
    }
}

fn peer(number: u16) -> Peer {
    let address = SocketAddr::from(([203, 0, 113, 1], number));
    Peer::new(address, PeerSource::Manual, SystemTime::now()).unwrap()
}

fn known(peer: &Peer) -> Changes {
    Changes {
        peers: HashMap::from([(peer.id, Some(peer.clone()))]),
        ..Changes::default()
    }
}

fn forgotten(peer: &Peer) -> Changes {
    Changes {
        peers: HashMap::from([(peer.id, None)]),
        ..Changes::default()
    }
}

fn save() -> Changes {
    Changes {
        save: true,
        ..Changes::default()
    }
}

fn bans(count: u8) -> Changes {
    let mut list = BanList::new(BanConfig::default());
    for number in 0..count {
        let address = IpAddr::from([203, 0, 113, number]);
        let now = SystemTime::now();
        list.ban_automatically(address, BanReason::WrongMagic, now)
            .unwrap();
    }
    Changes {
        bans: Some(list.list()),
        ..Changes::default()
    }
}

#[test]
fn first_change_is_written_at_once() {
    let bench = Bench::new(SLOW, |_| Ok(()));
    let mut peer = peer(1);
    let other = self::peer(2);
    bench.thread.write(known(&peer));
    bench.expect_calls(&[Call::Update(peer.id), Call::Create(peer.id)]);

    for failures in 1..=100 {
        peer.failures = failures;
        bench.thread.write(known(&peer));
        bench.thread.write(known(&other));
        bench.thread.write(forgotten(&other));
        bench.thread.write(bans(failures as u8));
        bench.thread.write(save());
    }
    let (result, calls, store) = bench.finish();
    assert_eq!(result, Ok(()));
    let expected = [
        Call::Delete(other.id),
        Call::Update(peer.id),
        Call::Bans(100),
        Call::Save,
    ];
    assert_eq!(calls, expected);
    assert_eq!(store.list_all(), Ok(vec![peer]));
    assert_eq!(store.read_bans().unwrap().len(), 100);
}

#[test]
fn after_every_write_the_store_has_its_rest() {
    let rest = Duration::from_millis(30);
    let retry = Duration::from_millis(1);
    let bench = Bench::new(Pace { rest, retry }, |_| Err(no_space()));
    // Retries respect the pause as well.
    bench.thread.write(save());
    let mut last = bench.next_call().1;
    for _ in 0..5 {
        bench.thread.write(save());
        let (_, now) = bench.next_call();
        assert!(now - last >= rest, "{:?}", now - last);
        last = now;
    }
}

#[test]
fn store_writes_at_most_once_per_second() {
    let (store, calls) = scripted(100, |_| Ok(()));
    let (failures, _) = bounded(1);
    let thread = StoreThread::start(store, failures).unwrap();
    let next = || calls.recv_timeout(DEADLINE).expect("a call in time").1;
    thread.write(save());
    let first = next();
    thread.write(save());
    assert!(next() - first >= Duration::from_secs(1));
}

#[test]
fn shutdown_writes_pending_changes_and_saves() {
    let bench = Bench::new(SLOW, |_| Ok(()));
    bench.thread.write(save());
    bench.expect_calls(&[Call::Save]);
    let peer = peer(1);
    bench.thread.write(known(&peer));
    let (result, calls, store) = bench.finish();
    assert_eq!(result, Ok(()));
    let expected = [Call::Update(peer.id), Call::Create(peer.id), Call::Save];
    assert_eq!(calls, expected);
    // The thread has ended and dropped its reference.
    assert_eq!(Arc::strong_count(&store), 1);
}

#[test]
fn dropped_thread_writes_pending_changes() {
    let bench = Bench::new(SLOW, |_| Ok(()));
    bench.thread.write(save());
    bench.expect_calls(&[Call::Save]);
    let peer = peer(1);
    bench.thread.write(known(&peer));
    let Bench { thread, calls, .. } = bench;
    drop(thread);
    for expected in [Call::Update(peer.id), Call::Create(peer.id), Call::Save] {
        assert_eq!(calls.recv_timeout(DEADLINE).unwrap().0, expected);
    }
}

#[test]
fn new_peer_may_reuse_deleted_address() {
    let bench = Bench::new(SLOW, |_| Ok(()));
    let mut changes = Changes::default();
    let mut expected = Vec::new();
    // Ten pairs are in the right order by chance only once in a thousand runs.
    for number in 1..=10 {
        let (old, new) = (peer(number), peer(number));
        let now = SystemTime::now();
        bench.store.inner.create(old.clone(), now).unwrap();
        changes.merge(known(&new));
        changes.merge(forgotten(&old));
        expected.push(new.id);
    }
    bench.thread.write(changes);
    let (result, _, store) = bench.finish();
    assert_eq!(result, Ok(()));
    let mut kept: Vec<_> = store.list_all().unwrap().iter().map(|p| p.id).collect();
    kept.sort();
    expected.sort();
    assert_eq!(kept, expected);
}

#[test]
fn a_store_without_room_is_no_failure() {
    let bench = Bench::with_room_for(0, 16, NO_RETRY, |_| Ok(()));
    let failures = bench.failures.clone();
    bench.thread.write(known(&peer(1)));
    let (result, _, store) = bench.finish();
    assert_eq!(result, Ok(()));
    assert_eq!(store.list_all(), Ok(Vec::new()));
    assert_eq!(failures.try_iter().count(), 0);
}

#[test]
fn pending_changes_are_bounded_by_skipping_deletes() {
    let mut changes = Changes::default();
    let kept = peer(1);
    changes.merge(known(&kept));
    for number in 2..=4 {
        changes.merge(forgotten(&peer(number)));
    }
    changes.limit_peers(4);
    assert_eq!(changes.peers.len(), 4);
    changes.limit_peers(3);
    assert_eq!(changes.peers, HashMap::from([(kept.id, Some(kept))]));
}

fn no_space() -> StoreError {
    StoreError::Io {
        operation: "writing",
        path: "peers.json".into(),
        error: std::io::ErrorKind::StorageFull.into(),
    }
}
