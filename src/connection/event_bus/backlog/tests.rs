//! Size of the backlog and timeouts of its lines.

use super::*;
use crate::connection::event_bus::event_receiver::{EventReceiver, event_channel};
use crate::connection::event_bus::options::SubscriptionOptions;
use crate::connection::event_bus::subscription::Queue;
use crate::event::{BitcoinMessageEvent, SharedMessage};
use crate::log_level::LogLevel;
use crate::peers::PeerId;
use crate::wire::Message;

const SECOND: Duration = Duration::from_secs(1);

/// Returns a backlog with one line of events, for a receiver with one slot.
fn lagging(events: usize, now: Instant) -> (Backlog, EventReceiver<BitcoinMessageEvent>) {
    let (end, sender, receiver) = event_channel(1);
    let options = SubscriptionOptions::default();
    let queue = Queue::Messages(sender);
    let subscription = Arc::new(Subscription::new(
        ("it".into(), LogLevel::default()),
        options,
        end,
        queue,
    ));
    let mut backlog = Backlog::new();
    let line = backlog.begin_line(&subscription, now);
    for _ in 0..events {
        backlog.push(line, event(100));
    }
    (backlog, receiver)
}

fn event(payload_len: u64) -> Event {
    Event::Message(BitcoinMessageEvent {
        peer_id: PeerId::from_u128(0),
        address: ([127, 0, 0, 1], 8333).into(),
        message: SharedMessage::new(Message::Verack, payload_len),
    })
}

#[track_caller]
fn assert_deadline(backlog: &mut Backlog, now: Instant, expected: Instant) {
    match backlog.too_slow(10 * SECOND, now) {
        TooSlow::NobodyUntil(deadline) => assert_eq!(deadline, Some(expected)),
        TooSlow::Line(_) => panic!("too slow already"),
    }
}

#[test]
fn bytes_count_until_taken_or_dropped() {
    let (mut backlog, receiver) = lagging(3, Instant::now());
    assert_eq!(backlog.bytes(), 3 * 612);
    backlog.push_missed(0);
    backlog.push_missed(0);
    assert_eq!(backlog.bytes(), 3 * 612 + 512);
    assert!(backlog.flush() > 0);
    assert_eq!(backlog.bytes(), 2 * 612 + 512);
    assert_eq!(backlog.flush(), 0);
    assert_eq!(backlog.remove(0), 4, "two events, and two that had no room");
    assert_eq!((backlog.bytes(), backlog.is_empty()), (0, true));
    drop(receiver);
}

#[test]
fn queue_of_dropped_receiver_is_removed() {
    let (mut backlog, receiver) = lagging(3, Instant::now());
    drop(receiver);
    assert!(backlog.flush() > 0);
    assert_eq!((backlog.bytes(), backlog.is_empty()), (0, true));
}

#[test]
fn wait_times_add_up() {
    let now = Instant::now();
    let (mut backlog, _receiver) = lagging(5, now);
    backlog.flush();
    backlog.begin_wait(now);
    backlog.end_wait(now + 4 * SECOND);
    let then = now + 100 * SECOND;
    backlog.begin_wait(then);
    assert_deadline(&mut backlog, then, then + 6 * SECOND);
    let just_before = then + 6 * SECOND - Duration::from_nanos(1);
    assert_deadline(&mut backlog, just_before, then + 6 * SECOND);
    let at = backlog.too_slow(10 * SECOND, then + 6 * SECOND);
    assert!(matches!(at, TooSlow::Line(0)));
}

#[test]
fn who_takes_something_has_all_the_time_again() {
    let now = Instant::now();
    let (mut backlog, receiver) = lagging(5, now);
    backlog.flush();
    backlog.begin_wait(now);
    backlog.end_wait(now + 4 * SECOND);
    backlog.begin_wait(now + 4 * SECOND);
    receiver.try_recv().unwrap();
    assert!(backlog.flush() > 0);
    let then = now + 9 * SECOND;
    assert_deadline(&mut backlog, then, then + 10 * SECOND);
    // Events that were taken between two waits count as well.
    backlog.end_wait(then + 9 * SECOND);
    receiver.try_recv().unwrap();
    assert!(backlog.flush() > 0);
    let then = then + 50 * SECOND;
    backlog.begin_wait(then);
    assert_deadline(&mut backlog, then, then + 10 * SECOND);
}
