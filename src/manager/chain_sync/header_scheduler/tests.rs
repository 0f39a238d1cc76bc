//! Scheduling decisions under simulated time.

use std::collections::{BTreeSet, HashMap};

use super::peer_state::{RATE_GRACE, REPLY_TIMEOUT, STALL_TIMEOUT, SYNC_GRACE};
use super::source_memory::{AVOID_DURATION, MAX_EMPTY_ANNOUNCEMENTS};
use super::*;
use crate::session::Direction;

const TICK: Duration = Duration::from_nanos(1);
const RTT: Duration = Duration::from_millis(50);

/// A scheduler with numbered peers and a clock.
struct World {
    scheduler: HeaderScheduler,
    round_trips: HashMap<PeerId, Duration>,
    requests: HashMap<u128, u64>,
    now: Instant,
}

fn hash(number: u8) -> BlockHash {
    BlockHash([number; 32])
}

fn id(number: u128) -> PeerId {
    PeerId::from_u128(number)
}

fn numbers(numbers: impl IntoIterator<Item = u128>) -> BTreeSet<u128> {
    numbers.into_iter().collect()
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            scheduler: HeaderScheduler::new(now),
            round_trips: HashMap::new(),
            requests: HashMap::new(),
            now,
        }
    }

    /// Creates a world whose outbound peers have answered and have nothing more.
    fn settled(peers: u128) -> Self {
        let mut world = Self::new();
        for peer in 1..=peers {
            world.connect(peer, PeerClass::Outbound);
        }
        world.send_all();
        for peer in 1..=peers {
            world.answer(peer, Answer::Empty);
        }
        world
    }

    fn connect(&mut self, peer: u128, class: PeerClass) {
        let direction = match class {
            PeerClass::Inbound => Direction::Inbound,
            _ => Direction::Outbound,
        };
        let octets = [203, 0, 113, (peer % 100) as u8];
        let key = SourceKey::new(direction, (octets, 8333).into());
        self.round_trips.entry(id(peer)).or_insert(RTT);
        self.scheduler.on_connected(id(peer), class, key);
    }

    fn disconnect(&mut self, peer: u128) {
        self.scheduler.on_disconnected(id(peer), self.now);
        self.requests.remove(&peer);
    }

    fn next(&mut self) -> Option<HeaderRequest> {
        let round_trips = &self.round_trips;
        let round_trip = |peer| round_trips[&peer];
        let request = self.scheduler.next(hash(0), round_trip, self.now)?;
        let peer = request.peer_id.as_u128();
        self.requests.insert(peer, request.id);
        Some(request)
    }

    /// Sends all requests that are due. Returns the peers in order.
    fn send_all(&mut self) -> Vec<u128> {
        let mut sent = Vec::new();
        while let Some(request) = self.next() {
            sent.push(request.peer_id.as_u128());
        }
        sent
    }

    fn answer(&mut self, peer: u128, answer: Answer) {
        let request = self.requests.remove(&peer).expect("an open request");
        let request = self.scheduler.close_request(id(peer), request);
        let request = request.expect("a request that is not cancelled");
        self.scheduler
            .on_answer(id(peer), &request, answer, self.now);
    }

    fn extend(&mut self, peer: u128, headers: usize) {
        self.answer(peer, Answer::Extended { headers });
    }

    fn announce(&mut self, peer: u128, number: u8) {
        self.scheduler.on_announced(id(peer), hash(number));
    }

    fn pass(&mut self, duration: Duration) {
        self.now += duration;
    }

    fn synced(&self) -> Option<u64> {
        self.scheduler.synced(self.now)
    }

    fn wait(&mut self, waiter: u64) {
        self.scheduler.on_waiter(waiter, self.now);
    }
}

#[test]
fn all_unknown_sources_are_requested_at_start() {
    let mut world = World::new();
    for peer in 1..=8 {
        world.connect(peer, PeerClass::Outbound);
    }
    assert_eq!(numbers(world.send_all()), numbers(1..=8));
    assert_eq!(world.send_all(), []);
}

#[test]
fn open_requests_are_limited() {
    let mut world = World::new();
    for peer in 1..=MAX_REQUESTS as u128 + 3 {
        world.connect(peer, PeerClass::Outbound);
    }
    assert_eq!(world.send_all().len(), MAX_REQUESTS);
    world.pass(HEDGE_AFTER);
    assert_eq!(world.send_all(), []);
}

#[test]
fn short_answers_are_repeated_until_one_is_empty() {
    let mut world = World::new();
    world.connect(1, PeerClass::Outbound);
    world.wait(1);
    for headers in [2_000, 500, 500, 1] {
        assert_eq!(world.send_all(), [1]);
        assert_ne!(world.synced(), Some(1));
        world.pass(RTT);
        world.extend(1, headers);
        assert_eq!(world.synced(), None);
    }
    assert_eq!(world.send_all(), [1]);
    world.answer(1, Answer::Empty);
    assert_eq!((world.send_all(), world.synced()), (vec![], Some(1)));
}

#[test]
fn download_uses_one_source_until_it_is_late() {
    let mut world = World::new();
    for peer in 1..=3 {
        world.connect(peer, PeerClass::Outbound);
    }
    world.send_all();
    world.pass(RTT);
    for peer in 1..=3 {
        world.extend(peer, 2_000);
    }
    let first = world.send_all();
    assert_eq!(first.len(), 1);
    world.pass(HEDGE_AFTER - TICK);
    assert_eq!(world.send_all(), []);
    assert!(world.scheduler.next_deadline(world.now) <= world.now + TICK);
    world.pass(TICK);
    let second = world.send_all();
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
}

#[test]
fn fastest_source_is_preferred_for_download() {
    let mut world = World::new();
    for peer in 1..=3 {
        world.connect(peer, PeerClass::Outbound);
    }
    world.send_all();
    // 1: 900 headers per second, 2: not measured, 3: 20,000 headers per second.
    world.pass(Duration::from_millis(100));
    world.extend(3, 2_000);
    world.pass(Duration::from_millis(900));
    world.extend(1, 900);
    world.extend(2, 1);
    assert_eq!(world.next().map(|one| one.peer_id), Some(id(3)));
    world.disconnect(3);
    assert_eq!(world.next().map(|one| one.peer_id), Some(id(2)));
    world.disconnect(2);
    assert_eq!(world.next().map(|one| one.peer_id), Some(id(1)));
}

#[test]
fn slow_download_does_not_delay_others() {
    let mut world = World::new();
    for peer in 1..=2 {
        world.connect(peer, PeerClass::Outbound);
    }
    world.send_all();
    world.pass(Duration::from_secs(1));
    world.extend(1, 100);
    assert_eq!(world.send_all(), [1]);
    // Source 1 is measured as slow, so that source 3 is queried at once.
    world.connect(3, PeerClass::Outbound);
    assert_eq!(world.send_all(), [3]);
}

#[test]
fn unmeasured_download_does_not_delay_others() {
    let mut world = World::new();
    for peer in 1..=3 {
        world.connect(peer, PeerClass::Outbound);
    }
    world.send_all();
    world.pass(HEDGE_AFTER - TICK);
    for peer in 1..=3 {
        world.extend(peer, 1);
    }
    assert_eq!(numbers(world.send_all()), numbers(1..=3));
}

#[test]
fn full_answer_is_followed_by_pipelined_request() {
    let mut world = World::new();
    for peer in 1..=2 {
        world.connect(peer, PeerClass::Outbound);
    }
    world.send_all();
    world.pass(RTT);
    let request = world.requests.remove(&1).unwrap();
    let request = world.scheduler.close_request(id(1), request).unwrap();
    let next = world.scheduler.pipeline(id(1), hash(7), world.now).unwrap();
    assert_eq!((next.peer_id, next.resume), (id(1), Some(hash(7))));
    let answer = Answer::Extended { headers: 2_000 };
    world
        .scheduler
        .on_answer(id(1), &request, answer, world.now);
    assert_eq!(world.send_all(), []);
    // No download from the second source starts at the same time.
    let request = world.requests.remove(&2).unwrap();
    world.scheduler.close_request(id(2), request).unwrap();
    assert_eq!(world.scheduler.pipeline(id(2), hash(7), world.now), None);
}

#[test]
fn invalid_answer_cancels_pipelined_request() {
    let mut world = World::new();
    world.connect(1, PeerClass::Outbound);
    world.send_all();
    let request = world.requests.remove(&1).unwrap();
    let request = world.scheduler.close_request(id(1), request).unwrap();
    let next = world.scheduler.pipeline(id(1), hash(7), world.now).unwrap();
    world
        .scheduler
        .on_answer(id(1), &request, Answer::Invalid, world.now);
    assert_eq!(world.scheduler.take_cancelled(), [next.id]);
    assert!(world.scheduler.take_cancelled().is_empty());
}

#[test]
fn inbound_peers_are_sources_only_without_others() {
    let mut world = World::new();
    world.connect(1, PeerClass::Inbound);
    assert_eq!(world.send_all(), [1]);
    let open = world.requests[&1];
    world.connect(2, PeerClass::Outbound);
    assert_eq!(world.scheduler.take_cancelled(), [open]);
    assert!(!world.scheduler.is_source(id(1)) && world.scheduler.is_source(id(2)));
    assert_eq!(world.send_all(), [2]);
    world.answer(2, Answer::Empty);
    world.announce(1, 9);
    world.wait(1);
    assert_eq!(world.send_all(), [2]);
    world.answer(2, Answer::Empty);
    assert_eq!(world.synced(), Some(1));
    world.disconnect(2);
    assert!(world.scheduler.is_source(id(1)));
    assert_eq!(world.send_all(), [1]);
}

#[test]
fn silent_source_is_cancelled_and_avoided() {
    let mut world = World::new();
    world.connect(1, PeerClass::Outbound);
    world.connect(2, PeerClass::Outbound);
    world.send_all();
    world.answer(2, Answer::Empty);
    world.pass(STALL_TIMEOUT - TICK);
    assert_eq!(world.scheduler.expire(world.now), []);
    world.pass(TICK);
    let expired = world.scheduler.expire(world.now);
    let expected = ExpiredRequest {
        id: world.requests[&1],
        peer_id: id(1),
        disconnect_after: None,
    };
    assert_eq!(expired, [expected]);
    world.wait(1);
    assert_eq!(world.send_all(), [2]);
    world.answer(2, Answer::Empty);
    world.pass(AVOID_DURATION - TICK);
    assert!(!world.send_all().contains(&1));
    world.pass(TICK);
    assert!(world.send_all().contains(&1));
}

#[test]
fn arriving_bytes_extend_request_to_total_limit() {
    let mut world = World::new();
    world.connect(1, PeerClass::Outbound);
    world.send_all();
    let sent_at = world.now;
    while world.now + STALL_TIMEOUT / 2 < sent_at + REPLY_TIMEOUT {
        world.pass(STALL_TIMEOUT / 2);
        world.scheduler.on_progress(id(1), world.now);
        assert_eq!(world.scheduler.expire(world.now), []);
    }
    world.now = sent_at + REPLY_TIMEOUT;
    assert_eq!(world.scheduler.expire(world.now).len(), 1);
}

#[test]
fn second_missing_reply_disconnects_unless_configured_or_offline() {
    for (class, others_answer, expected) in [
        (PeerClass::Outbound, true, Some(STALL_TIMEOUT)),
        (PeerClass::Outbound, false, None),
        (PeerClass::Configured, true, None),
    ] {
        let mut world = World::new();
        world.connect(1, class);
        world.connect(2, PeerClass::Outbound);
        for expected in [None, expected] {
            world.send_all();
            world.pass(RTT);
            if others_answer {
                world.answer(2, Answer::Empty);
            }
            world.pass(STALL_TIMEOUT);
            let expired = world.scheduler.expire(world.now);
            let disconnect = expired.iter().find(|one| one.peer_id == id(1));
            let after = disconnect.expect("expired").disconnect_after;
            assert_eq!(after.is_some(), expected.is_some(), "{class:?}");
            world.pass(AVOID_DURATION);
        }
    }
}

#[test]
fn silent_source_does_not_count_after_two_seconds() {
    let mut world = World::new();
    for peer in 1..=5 {
        world.connect(peer, PeerClass::Outbound);
    }
    world.wait(1);
    world.send_all();
    world.pass(RTT);
    world.answer(5, Answer::Empty);
    assert_eq!(world.synced(), Some(0), "four sources may still answer");
    world.pass(HEDGE_AFTER - RTT - TICK);
    assert_eq!(world.synced(), Some(0));
    world.pass(TICK);
    assert_eq!(world.synced(), Some(1));
    // A late answer still counts.
    world.extend(1, 10);
    assert_eq!(world.synced(), None);
}

#[test]
fn silence_is_remembered_across_reconnections() {
    let mut world = World::new();
    for peer in 1..=4 {
        world.connect(peer, PeerClass::Outbound);
    }
    world.wait(1);
    world.send_all();
    world.answer(4, Answer::Empty);
    for peer in 1..=3 {
        world.disconnect(peer);
        // The same address with another id.
        world.connect(peer + 100, PeerClass::Outbound);
    }
    assert_eq!(world.synced(), Some(1));
    world.send_all();
    world.answer(101, Answer::Empty);
    assert_eq!(world.synced(), Some(1));
    world.wait(2);
    world.send_all();
    world.answer(4, Answer::Empty);
    assert_eq!(world.synced(), Some(1), "101 counts since it answered");
    world.answer(101, Answer::Empty);
    assert_eq!(world.synced(), Some(2));
}

#[test]
fn avoided_source_stays_avoided_after_reconnection() {
    let mut world = World::new();
    world.connect(1, PeerClass::Outbound);
    world.connect(2, PeerClass::Outbound);
    world.send_all();
    world.answer(1, Answer::Invalid);
    world.answer(2, Answer::Empty);
    world.disconnect(1);
    world.connect(101, PeerClass::Outbound);
    assert_eq!(world.send_all(), []);
    world.pass(AVOID_DURATION);
    assert!(world.send_all().contains(&101));
}

#[test]
fn majority_of_usable_sources_decides() {
    let mut world = World::settled(5);
    world.wait(1);
    assert_eq!(numbers(world.send_all()), numbers(1..=5));
    world.answer(1, Answer::Empty);
    world.answer(2, Answer::Empty);
    assert_eq!(world.synced(), Some(0));
    world.answer(3, Answer::Empty);
    assert_eq!(world.synced(), Some(1));
    world.extend(4, 1);
    assert_eq!(world.synced(), None, "a source has more");
}

#[test]
fn answer_counts_only_if_requested_after_wait() {
    let mut world = World::new();
    world.connect(1, PeerClass::Outbound);
    world.send_all();
    world.wait(1);
    world.answer(1, Answer::Empty);
    assert_eq!(world.synced(), Some(0));
    assert_eq!(world.send_all(), [1]);
    world.answer(1, Answer::Empty);
    assert_eq!(world.synced(), Some(1));
    assert_eq!(World::new().synced(), None, "there is no source");
}

#[test]
fn announcement_is_requested_and_blocks_sync() {
    let mut world = World::settled(3);
    world.announce(2, 7);
    assert_eq!(world.synced(), None);
    assert_eq!(world.send_all(), [2]);
    world.extend(2, 1);
    world.scheduler.resolve_announcements(|one| *one == hash(7));
    assert_eq!(world.send_all(), [2]);
    world.answer(2, Answer::Empty);
    assert_eq!((world.send_all(), world.synced()), (vec![], Some(0)));
}

#[test]
fn announcement_during_request_is_requested_after_it() {
    let mut world = World::settled(1);
    world.wait(1);
    assert_eq!(world.send_all(), [1]);
    world.announce(1, 7);
    world.answer(1, Answer::Empty);
    assert_eq!(world.synced(), None);
    assert_eq!(world.send_all(), [1]);
}

#[test]
fn announcement_resolved_by_another_source_is_not_requested() {
    let mut world = World::settled(2);
    world.announce(1, 7);
    world.scheduler.resolve_announcements(|one| *one == hash(7));
    assert_eq!((world.send_all(), world.synced()), (vec![], Some(0)));
}

#[test]
fn repeated_empty_announcements_are_avoided() {
    for answer in [Answer::Empty, Answer::TooNew] {
        let mut world = World::settled(2);
        for number in 0..MAX_EMPTY_ANNOUNCEMENTS as u8 {
            world.announce(1, number);
            assert_eq!(world.send_all(), [1]);
            world.answer(1, answer);
        }
        world.announce(1, 99);
        assert_eq!((world.send_all(), world.synced()), (vec![], Some(0)));
    }
}

#[test]
fn announcement_during_request_does_not_excuse_earlier_one() {
    let mut world = World::settled(2);
    world.announce(1, 0);
    for number in 1..=MAX_EMPTY_ANNOUNCEMENTS as u8 {
        assert_eq!(world.send_all(), [1]);
        world.announce(1, number);
        world.answer(1, Answer::Empty);
    }
    assert_eq!((world.send_all(), world.synced()), (vec![], Some(0)));
}

#[test]
fn side_chain_is_continued_from_its_tip() {
    let mut world = World::new();
    world.connect(1, PeerClass::Outbound);
    assert_eq!(world.next().unwrap().resume, None);
    for number in 1..=3 {
        world.pass(RTT);
        let answer = Answer::SideChain {
            tip: hash(number),
            height: 2_000 * u32::from(number),
            headers: 2_000,
        };
        world.answer(1, answer);
        assert_eq!(world.synced(), None);
        assert_eq!(world.next().unwrap().resume, Some(hash(number)));
    }
    world.extend(1, 10_000);
    assert_eq!(world.next().unwrap().resume, None);
    world.answer(1, Answer::Empty);
    assert_eq!(world.synced(), Some(0));
}

#[test]
fn source_of_many_short_branches_is_avoided() {
    let mut tip = 0;
    assert_avoided_after_grace(Duration::from_millis(100), || {
        tip += 1;
        Answer::SideChain {
            tip: hash(tip),
            height: 500,
            headers: 100,
        }
    });
}

/// Checks that a source with these answers delays waiters for [`SYNC_GRACE`], and is avoided after
/// [`RATE_GRACE`].
#[track_caller]
fn assert_avoided_after_grace(interval: Duration, mut answer: impl FnMut() -> Answer) {
    let mut world = World::settled(2);
    world.wait(1);
    world.send_all();
    world.answer(2, Answer::Empty);
    let start = world.now;
    let mut requests = numbers([1]);
    while requests.contains(&1) {
        assert_eq!(
            world.synced() == Some(1),
            world.now >= start + SYNC_GRACE,
            "{:?}",
            world.now - start
        );
        world.pass(interval);
        world.answer(1, answer());
        requests = numbers(world.send_all());
    }
    assert_eq!(world.now, start + RATE_GRACE);
}

#[test]
fn known_headers_are_followed_while_they_ascend() {
    let mut world = World::settled(1);
    let known = |number| Answer::Known {
        last: hash(number),
        height: 10 * u32::from(number),
    };
    world.wait(1);
    world.send_all();
    world.answer(1, known(1));
    assert_eq!(world.next().unwrap().resume, Some(hash(1)));
    world.answer(1, known(2));
    assert_eq!(world.next().unwrap().resume, Some(hash(2)));
    world.answer(1, known(2));
    assert_eq!((world.send_all(), world.synced()), (vec![], Some(1)));
}

#[test]
fn trickling_source_is_avoided_after_grace() {
    let trickle = [
        Answer::Extended { headers: 1 },
        Answer::SideChain {
            tip: hash(1),
            height: 1,
            headers: 1,
        },
    ];
    for answer in trickle {
        assert_avoided_after_grace(Duration::from_secs(1), || answer);
    }
}

#[test]
fn trickling_source_is_avoided_across_reconnections() {
    let mut world = World::settled(2);
    let start = world.now;
    for peer in (103..).step_by(100) {
        world.connect(peer, PeerClass::Outbound);
        if world.send_all().is_empty() {
            break;
        }
        world.pass(Duration::from_secs(1));
        world.extend(peer, 1);
        assert_eq!(world.synced().is_some(), world.now >= start + SYNC_GRACE);
        world.disconnect(peer);
        assert!(world.now <= start + RATE_GRACE);
    }
    assert_eq!(world.now, start + RATE_GRACE);
}

#[test]
fn least_bad_source_serves_if_all_avoided() {
    let mut world = World::new();
    world.connect(1, PeerClass::Outbound);
    world.connect(2, PeerClass::Outbound);
    world.wait(1);
    world.send_all();
    world.answer(1, Answer::Invalid);
    world.answer(2, Answer::NoReply);
    assert_eq!(world.synced(), None);
    assert_eq!(world.send_all(), [2]);
    world.answer(2, Answer::NoReply);
    assert_eq!(world.send_all(), [], "not without a pause");
    world.pass(FORCED_INTERVAL);
    assert_eq!(world.send_all(), [2]);
    world.answer(2, Answer::Empty);
    assert_eq!(world.synced(), Some(1));
}

#[test]
fn all_sources_are_requested_each_minute() {
    let mut world = World::settled(3);
    world.pass(REFRESH_INTERVAL - TICK);
    assert_eq!(world.send_all(), []);
    assert_eq!(world.scheduler.next_deadline(world.now), world.now + TICK);
    world.pass(TICK);
    assert_eq!(numbers(world.send_all()), numbers(1..=3));
    for peer in 1..=3 {
        world.answer(peer, Answer::Empty);
    }
    world.scheduler.refresh(world.now);
    assert_eq!(numbers(world.send_all()), numbers(1..=3));
}

#[test]
fn restart_cancels_requests_and_forgets_progress() {
    let mut world = World::settled(2);
    world.wait(1);
    world.send_all();
    world.answer(1, Answer::Empty);
    let open = world.requests[&2];
    world.scheduler.restart(world.now);
    assert_eq!(world.scheduler.take_cancelled(), [open]);
    assert_eq!(world.synced(), Some(0));
    assert_eq!(numbers(world.send_all()), numbers(1..=2));
}
