//! Whom to ask next, under a clock of its own.

use std::collections::HashMap;

use super::*;

const TICK: Duration = Duration::from_nanos(1);

/// HeaderScheduler with peers by small numbers, a chain of some height, and the blocks that it has.
struct World {
    sources: HeaderScheduler,
    round_trips: HashMap<Uuid, u64>,
    height: u32,
    known: Vec<BlockHash>,
    now: Instant,
}

fn hash(number: u8) -> BlockHash {
    BlockHash([number; 32])
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

impl World {
    fn new(height: u32) -> Self {
        let now = Instant::now();
        Self {
            sources: HeaderScheduler::new(now),
            round_trips: HashMap::new(),
            height,
            known: Vec::new(),
            now,
        }
    }

    /// Connects a peer that serves blocks.
    fn connect(&mut self, peer: u128, claims: u32, round_trip: u64) {
        self.round_trips.insert(id(peer), round_trip);
        let standing = PeerState::new(claims, true);
        self.sources.on_connected(id(peer), standing, self.now);
    }

    fn lose(&mut self, peer: u128) {
        self.sources.on_disconnected(id(peer), self.now);
    }

    fn next(&mut self) -> Option<u128> {
        self.question().map(|question| question.peer_id.as_u128())
    }

    fn question(&mut self) -> Option<HeaderRequest> {
        let round_trips = &self.round_trips;
        let round_trip = |peer| Duration::from_millis(round_trips[&peer]);
        self.sources.next(self.height, round_trip, self.now)
    }

    fn answer(&mut self, peer: u128, answer: Answer) {
        let known = &self.known;
        let knows = |hash: &BlockHash| known.contains(hash);
        self.sources
            .on_answer(id(peer), answer, self.height, knows, self.now);
    }

    fn announce(&mut self, peer: u128, number: u8) {
        self.sources
            .on_announced(id(peer), hash(number), self.height);
    }

    /// Answers a full list that belongs to the chain.
    fn grow(&mut self, peer: u128, headers: u32) {
        self.height += headers;
        let more = headers == 2_000;
        self.answer(peer, Answer::Extended { more });
    }

    fn want(&mut self, look: u64) {
        self.sources.on_wanted(look, self.now);
    }

    fn settled(&self) -> Option<u64> {
        self.sources.settled(self.height, self.now)
    }

    /// Until something may have changed by itself.
    fn pass(&mut self) {
        let deadline = self.sources.next_deadline(self.now);
        assert!(deadline > self.now, "a clock that stands still");
        self.now = deadline;
    }
}

#[test]
fn a_claimed_height_counts_before_service_and_service_before_the_round_trip() {
    let mut world = World::new(10);
    world.connect(1, 10, 1);
    world.connect(2, 11, 90);
    world.connect(3, 12, 80);
    world.round_trips.insert(id(4), 5);
    let no_server = PeerState::new(99, false);
    world.sources.on_connected(id(4), no_server, world.now);
    assert_eq!(world.next(), Some(3));
    assert_eq!(world.next(), None, "one at a time while it is not late");
    world.answer(3, Answer::NoReply);
    assert_eq!(world.next(), Some(2));
    world.answer(2, Answer::NoReply);
    assert_eq!(world.next(), Some(4));
    world.answer(4, Answer::NoReply);
    assert_eq!(world.next(), Some(1));
    world.answer(1, Answer::Empty);
    assert_eq!(world.next(), None);
}

#[test]
fn a_peer_with_more_is_asked_until_it_has_no_more() {
    let mut world = World::new(0);
    world.want(1);
    world.connect(1, 4_500, 1);
    for headers in [2_000, 2_000, 500] {
        assert_eq!(world.settled(), None);
        assert_eq!(world.next(), Some(1));
        world.grow(1, headers);
    }
    assert_eq!(world.next(), None);
    assert_eq!(world.settled(), Some(1));
}

#[test]
fn another_peer_is_asked_as_well_once_the_first_is_late_and_few_at_once() {
    let mut world = World::new(0);
    for peer in 1..=6 {
        world.connect(peer, 100, peer as u64);
    }
    assert_eq!(world.next(), Some(1));
    world.now += HEDGE_AFTER - TICK;
    assert_eq!(world.next(), None);
    world.pass();
    assert_eq!(world.next(), Some(2));
    // The one that answers goes on at once.
    world.grow(2, 2_000);
    assert_eq!(world.next(), Some(2));
    for peer in [1, 3] {
        world.now += HEDGE_AFTER;
        world.announce(peer + 2, 7);
        assert_eq!(world.next(), Some(peer + 2));
    }
    world.now += HEDGE_AFTER;
    world.announce(6, 7);
    assert_eq!(world.next(), None, "{MAX_REQUESTS} are asked");
}

#[test]
fn who_does_not_answer_or_lies_is_avoided_for_a_while() {
    for answer in [Answer::NoReply, Answer::Invalid, Answer::Empty] {
        let mut world = World::new(10);
        world.connect(1, 11, 1);
        assert_eq!(world.next(), Some(1));
        world.answer(1, answer);
        let until = world.now + AVOID_DURATION;
        while world.now < until {
            assert_eq!(world.next(), None, "{answer:?}");
            world.pass();
        }
        assert_eq!(world.now, until);
        assert_eq!(world.next(), Some(1), "{answer:?}");
    }
}

#[test]
fn an_avoided_peer_is_avoided_after_it_has_come_back_as_well() {
    let mut world = World::new(10);
    world.connect(1, 11, 1);
    assert_eq!(world.next(), Some(1));
    world.answer(1, Answer::Invalid);
    world.lose(1);
    world.connect(1, 11, 1);
    assert_eq!(world.next(), None);
}

#[test]
fn news_of_an_avoided_peer_is_better_than_none_unless_it_broke_rules() {
    let mut world = World::new(10);
    world.connect(1, 10, 1);
    world.connect(2, 10, 2);
    assert_eq!(world.next(), Some(1));
    world.answer(1, Answer::NoReply);
    assert_eq!(world.next(), Some(2));
    world.announce(1, 7);
    assert_eq!(world.next(), None, "the other one may answer yet");
    world.answer(2, Answer::Empty);
    assert_eq!(world.next(), Some(1));
    world.answer(1, Answer::Invalid);
    world.announce(1, 8);
    assert_eq!(world.next(), Some(2));
    world.answer(2, Answer::Empty);
    assert_eq!(world.next(), None);
}

#[test]
fn an_announcement_is_asked_for_where_it_came_from_in_the_order_of_their_coming() {
    let mut world = World::new(10);
    for peer in 1..=3 {
        world.connect(peer, 10, peer as u64);
    }
    assert_eq!(world.next(), Some(1));
    world.answer(1, Answer::Empty);
    assert_eq!(world.next(), None);
    world.announce(3, 7);
    world.announce(2, 7);
    world.announce(3, 8);
    assert_eq!(world.next(), Some(3));
    world.known = vec![hash(7), hash(8)];
    world.grow(3, 2);
    assert_eq!(world.next(), Some(2));
    world.answer(2, Answer::Empty);
    assert_eq!(world.next(), None);
    assert_eq!(world.settled(), Some(0));
}

#[test]
fn an_announcement_during_a_question_is_asked_for_after_it() {
    let mut world = World::new(10);
    world.want(1);
    world.connect(1, 10, 1);
    assert_eq!(world.next(), Some(1));
    world.announce(1, 7);
    world.answer(1, Answer::Empty);
    assert_eq!(world.settled(), None);
    assert_eq!(world.next(), Some(1));
    world.grow(1, 1);
    assert_eq!((world.next(), world.settled()), (None, Some(1)));
}

#[test]
fn who_never_has_what_it_announces_is_avoided_however_soon_it_announces_again() {
    let mut world = World::new(10);
    world.connect(1, 10, 1);
    world.connect(2, 20, 2);
    let mut asked = 0;
    for number in 0..20 {
        world.announce(1, number);
        match world.next() {
            Some(1) => asked += 1,
            other => {
                assert_eq!(other, Some(2), "the other one has its turn");
                break;
            }
        }
        world.announce(1, 100 + number);
        world.answer(1, Answer::Empty);
    }
    assert_eq!(asked, MAX_FRUITLESS);
}

#[test]
fn the_best_peer_is_asked_now_and_then_and_whenever_announcements_were_lost() {
    let mut world = World::new(10);
    world.connect(1, 10, 2);
    world.connect(2, 10, 1);
    assert_eq!(world.next(), Some(2));
    world.answer(2, Answer::Empty);
    let then = world.now + LOOK_EVERY;
    world.now = then - TICK;
    assert_eq!(world.next(), None);
    world.pass();
    assert_eq!((world.now, world.next()), (then, Some(2)));
    world.answer(2, Answer::Empty);
    world.sources.on_lagged(world.now);
    assert_eq!(world.next(), Some(2));
}

#[test]
fn a_peer_that_comes_when_nobody_was_there_is_asked_whatever_it_claims() {
    let mut world = World::new(10);
    world.connect(1, 0, 1);
    assert_eq!(world.next(), Some(1));
    world.answer(1, Answer::Empty);
    world.connect(2, 0, 1);
    assert_eq!(world.next(), None);
    world.lose(1);
    world.lose(2);
    assert_eq!(world.next(), None);
    world.connect(3, 0, 1);
    assert_eq!(world.next(), Some(3));
}

#[test]
fn a_peer_that_is_lost_while_it_is_asked_leaves_the_question_to_another() {
    let mut world = World::new(10);
    world.want(1);
    world.connect(1, 0, 1);
    world.connect(2, 0, 2);
    assert_eq!(world.next(), Some(1));
    world.lose(1);
    assert_eq!(world.next(), Some(2));
    world.answer(1, Answer::Empty);
    assert_ne!(world.settled(), Some(1), "it is no peer any more");
    world.answer(2, Answer::Empty);
    assert_eq!(world.settled(), Some(1));
}

#[test]
fn a_branch_is_followed_as_far_as_a_chain_keeps_one() {
    let mut world = World::new(10);
    world.connect(1, 99_999, 1);
    let mut side_chain_tip = None;
    for round in 1..=MAX_SIDE_ROUNDS as u8 {
        let question = world.question().unwrap();
        assert_eq!(
            (question.peer_id, question.side_chain_tip),
            (id(1), side_chain_tip)
        );
        let last = hash(round);
        world.answer(1, Answer::SideChain { last, more: true });
        side_chain_tip = Some(last);
    }
    assert_eq!(world.next(), None, "it is avoided");
}

#[test]
fn a_branch_that_takes_over_or_ends_is_followed_no_more() {
    for answer in [
        Answer::Extended { more: true },
        Answer::SideChain {
            last: hash(2),
            more: false,
        },
    ] {
        let mut world = World::new(10);
        world.connect(1, 99, 1);
        assert_eq!(world.next(), Some(1));
        let last = hash(1);
        world.answer(1, Answer::SideChain { last, more: true });
        assert_eq!(world.question().unwrap().side_chain_tip, Some(last));
        world.answer(1, answer);
        world.sources.on_lagged(world.now);
        assert_eq!(world.question().unwrap().side_chain_tip, None, "{answer:?}");
    }
}

#[test]
fn a_look_counts_only_if_the_question_came_after_the_wish() {
    let mut world = World::new(10);
    world.connect(1, 10, 1);
    assert_eq!(world.next(), Some(1));
    world.want(1);
    world.answer(1, Answer::Empty);
    assert_eq!(world.settled(), Some(0));
    assert_eq!(world.next(), Some(1));
    world.answer(1, Answer::Empty);
    assert_eq!(world.settled(), Some(1));
}
