//! Credit of streams and timeouts of subscriptions, under simulated time.

use super::*;
use crate::connection::event_bus::EventBus;
use crate::connection::event_bus::subscription::EVENT_OVERHEAD;
use crate::connection::event_bus::test_events::{PEER, address, message_of_len};
use crate::connection::{EventReceiver, OverflowPolicy, SubscriptionOptions, TryRecvError};
use crate::event::{SharedMessage, SubscriptionEndReason};
use crate::network::Network;
use crate::session::Direction;
use crate::wire::{Inv, Inventory, StreamPolicy, StreamType, Txid};

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The payload of a message in these tests, and its size in the queue.
const LEN: u64 = 488;
const SIZE: u64 = LEN + EVENT_OVERHEAD;

/// A stream whose credit is ten messages.
struct Stream {
    publisher: EventPublisher,
    waker: Arc<Waker>,
}

impl Stream {
    fn new(bus: &EventBus) -> Self {
        let config = ConnectionConfig {
            max_subscriber_backlog_bytes: 10 * SIZE,
            subscriber_timeout: TIMEOUT,
            ..ConnectionConfig::new(Network::Regtest)
        };
        let waker = Arc::new(Waker::new());
        let publisher = bus.publisher(&config, waker.clone());
        Self { publisher, waker }
    }

    fn publish(&mut self, messages: usize) {
        (0..messages).for_each(|_| self.publisher.message(message_of_len(LEN)));
    }

    /// Publishes until the credit is spent. Returns the number of messages.
    fn publish_until_blocked(&mut self) -> usize {
        let mut messages = 0;
        while !self.publisher.is_blocked() {
            self.publish(1);
            messages += 1;
        }
        messages
    }

    fn is_woken(&self) -> bool {
        self.waker.signal().try_recv().is_ok()
    }

    fn end_stuck(&mut self, now: Instant) -> Option<Instant> {
        self.publisher.end_stuck_subscriptions(now)
    }
}

fn options(capacity: usize) -> SubscriptionOptions {
    SubscriptionOptions {
        capacity,
        ..SubscriptionOptions::with_name("slow")
    }
}

fn take<T>(receiver: &EventReceiver<T>, events: usize) {
    let taken = receiver.try_iter().take(events).filter(Result::is_ok);
    assert_eq!(taken.count(), events);
}

fn stream_opened() -> ControlEvent {
    ControlEvent::StreamOpened {
        peer_id: PEER,
        address: address(),
        stream: StreamType::Data1,
        policy: StreamPolicy::Default,
    }
}

const TOO_SLOW: Result<BitcoinMessageEvent, TryRecvError> =
    Err(TryRecvError::Ended(SubscriptionEndReason::TooSlow));

#[test]
fn messages_below_capacity_cost_no_credit() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(options(20));
    let mut stream = Stream::new(&bus);
    stream.publish(20);
    assert_eq!(stream.publisher.credit.used(), 0);
    stream.publish(1);
    assert_eq!(stream.publisher.credit.used(), SIZE);
    take(&messages, 21);
    assert_eq!(stream.publisher.credit.used(), 0);
    assert_eq!(stream.publish_until_blocked(), 30);
}

#[test]
fn decoded_list_costs_twice_its_payload() {
    let bus = EventBus::new();
    let _messages = bus.subscribe_messages_with(options(1));
    let mut stream = Stream::new(&bus);
    let inventory = vec![Inventory::Tx(Txid([7; 32])); 10];
    let inv = SharedMessage::new(Inv { inventory }.into(), 361);
    for message in [&inv, &inv] {
        stream.publisher.message(BitcoinMessageEvent {
            message: message.clone(),
            ..message_of_len(0)
        });
    }
    assert_eq!(stream.publisher.credit.used(), 2 * 361 + EVENT_OVERHEAD);
}

#[test]
fn reading_resumes_at_half_of_credit() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(options(1));
    let mut stream = Stream::new(&bus);
    let mut other = Stream::new(&bus);
    assert_eq!(stream.publish_until_blocked(), 11);
    assert!(!other.publisher.is_blocked());
    assert!(stream.publisher.pause_continues());
    // The first message was below the capacity.
    take(&messages, 5);
    assert!(stream.publisher.pause_continues() && !stream.is_woken());
    take(&messages, 1);
    assert!(stream.is_woken() && !stream.publisher.pause_continues());
    stream.publisher.end_pause();
    take(&messages, 5);
    assert!(!stream.is_woken(), "the pause is over");
    assert!(!other.is_woken());
}

#[test]
fn message_for_two_slow_receivers_is_charged_twice() {
    let bus = EventBus::new();
    let (one, both) = (
        bus.subscribe_messages_with(options(1)),
        bus.subscribe_with(options(2)),
    );
    let mut stream = Stream::new(&bus);
    // The receivers hold one and two messages without a charge.
    assert_eq!(stream.publish_until_blocked(), 7);
    assert_eq!(stream.publisher.credit.used(), 11 * SIZE);
    assert_eq!((one.len(), both.len()), (7, 7), "both got the last message");
}

#[test]
fn message_without_credit_is_dropped_and_counted() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let messages = bus.subscribe_messages_with(options(1));
    let idle = bus.subscribe_messages();
    let mut stream = Stream::new(&bus);
    let kept = stream.publish_until_blocked();
    stream.publish(5);
    assert_eq!((messages.len(), idle.len()), (kept, kept + 5));
    stream.publisher.report_lag();
    let report = control.try_iter().next().unwrap().unwrap();
    assert_eq!(report.to_string(), "subscription slow dropped 5 events");
}

#[test]
fn dropping_receiver_policy_never_blocks_stream() {
    let bus = EventBus::new();
    let sampled = bus.subscribe_messages_with(SubscriptionOptions {
        overflow: OverflowPolicy::DropNewest,
        ..options(5)
    });
    let mut stream = Stream::new(&bus);
    stream.publish(100);
    assert_eq!(stream.publisher.credit.used(), 0);
    assert_eq!(stream.end_stuck(Instant::now()), None);
    assert_eq!(sampled.len(), 5);
}

#[test]
fn stuck_subscription_ends_after_timeout_and_frees_credit() {
    let bus = EventBus::new();
    let (stuck, reading) = (
        bus.subscribe_messages_with(options(1)),
        bus.subscribe_messages(),
    );
    let mut stream = Stream::new(&bus);
    stream.publish_until_blocked();
    let now = Instant::now();
    assert_eq!(stream.end_stuck(now), Some(now + TIMEOUT));
    assert!(stream.publisher.pause_continues());
    let before = now + TIMEOUT - Duration::from_nanos(1);
    assert_eq!(stream.end_stuck(before), Some(now + TIMEOUT));
    assert_eq!(stream.end_stuck(now + TIMEOUT), None);
    assert_eq!(stuck.try_recv(), TOO_SLOW);
    assert!(stream.is_woken() && !stream.publisher.is_blocked());
    assert_eq!(stream.publisher.credit.used(), 0);
    assert_eq!(reading.end_reason(), None);
}

#[test]
fn event_taken_from_any_peer_restarts_timeout() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(options(1));
    let (mut paused, mut other) = (Stream::new(&bus), Stream::new(&bus));
    // The events of the other stream come first.
    other.publish_until_blocked();
    paused.publish_until_blocked();
    let mut now = Instant::now();
    assert_eq!(paused.end_stuck(now), Some(now + TIMEOUT));
    for _ in 0..11 {
        now += TIMEOUT - SECOND;
        take(&messages, 1);
        assert_eq!(paused.end_stuck(now), Some(now + TIMEOUT));
    }
    // The clock is shared: the first check of the second stream ends the subscription.
    assert_eq!(other.end_stuck(now + TIMEOUT), None);
    assert_eq!(messages.try_recv(), TOO_SLOW);
}

#[test]
fn queue_at_capacity_does_not_start_timeout() {
    let bus = EventBus::new();
    let (stuck, unaffected) = (
        bus.subscribe_messages_with(options(1)),
        bus.subscribe_messages_with(options(11)),
    );
    let mut stream = Stream::new(&bus);
    assert_eq!(stream.publish_until_blocked(), 11);
    let now = Instant::now();
    stream.end_stuck(now);
    assert_eq!(stream.end_stuck(now + TIMEOUT), None);
    assert_eq!(stuck.try_recv(), TOO_SLOW);
    assert_eq!(unaffected.end_reason(), None);
    // The timeout starts once the queue is above its capacity.
    stream.publish(1);
    let later = now + 3 * TIMEOUT;
    assert_eq!(stream.end_stuck(later), Some(later + TIMEOUT));
}

#[test]
fn drop_of_messages_ends_stuck_subscription() {
    let bus = EventBus::new();
    let stuck = bus.subscribe_messages_with(options(1));
    let mut stream = Stream::new(&bus);
    stream.publish_until_blocked();
    // The check of an earlier pause.
    let earlier = Instant::now().checked_sub(2 * TIMEOUT).unwrap();
    stream.end_stuck(earlier);
    stream.publish(1);
    assert_eq!(stuck.try_recv(), TOO_SLOW);
}

#[test]
fn suspension_restarts_subscriber_timeout() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(options(1));
    let mut stream = Stream::new(&bus);
    stream.publish_until_blocked();
    let now = Instant::now();
    stream.end_stuck(now);
    let resumed = now + 3 * TIMEOUT;
    stream.publisher.on_suspended(resumed);
    assert_eq!(stream.end_stuck(resumed), Some(resumed + TIMEOUT));
    assert_eq!(messages.end_reason(), None);
    assert_eq!(stream.end_stuck(resumed + TIMEOUT), None);
    assert_eq!(messages.try_recv(), TOO_SLOW);
}

#[test]
fn dropped_receiver_wakes_paused_stream() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(options(1));
    let mut stream = Stream::new(&bus);
    stream.publish_until_blocked();
    assert!(stream.publisher.pause_continues());
    drop(messages);
    assert!(stream.is_woken() && !stream.publisher.pause_continues());
    assert_eq!(stream.end_stuck(Instant::now()), None);
}

#[test]
fn lower_limit_blocks_at_once() {
    let bus = EventBus::new();
    let _messages = bus.subscribe_messages_with(options(1));
    let mut stream = Stream::new(&bus);
    stream.publish(6);
    assert!(!stream.publisher.is_blocked());
    stream.publisher.set_limits(PublisherLimits {
        max_subscriber_backlog_bytes: 5 * SIZE,
        subscriber_timeout: TIMEOUT,
    });
    assert!(stream.publisher.is_blocked());
}

/// A peer must not queue more by reconnecting.
#[test]
fn events_of_closed_streams_hold_new_stream_back() {
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(options(1));
    let mut established = Stream::new(&bus);
    established.publisher.control(&stream_opened());
    let mut queued = 0;
    for _ in 0..100 {
        let mut stream = Stream::new(&bus);
        assert!(!stream.publisher.is_blocked(), "the handshake is read");
        stream.publisher.control(&stream_opened());
        queued += stream.publish_until_blocked().min(1000);
    }
    assert_eq!(queued, 11, "one stream spent the credit, no other followed");
    assert!(!established.publisher.is_blocked());
    let mut last = Stream::new(&bus);
    last.publisher
        .control(&ControlEvent::ConnectionEstablished {
            peer_id: PEER,
            address: address(),
            direction: Direction::Outbound,
        });
    last.publisher.control(&stream_opened());
    assert!(last.publisher.pause_continues());
    take(&messages, 2);
    assert!(!last.publisher.pause_continues() && !last.publisher.is_blocked());
    // It has its own credit from now on.
    established.publish(1);
    assert_eq!(last.publish_until_blocked(), 10);
    take(&messages, 20);
    assert_eq!(bus.registry.closed_streams.used(), 0);
}

#[test]
fn concurrent_streams_and_receivers_leave_no_charge() {
    const MESSAGES: usize = 2000;
    let bus = EventBus::new();
    let messages = bus.subscribe_messages_with(options(4));
    let both = bus.subscribe_with(options(4));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let mut stream = Stream::new(&bus);
            scope.spawn(move || {
                for _ in 0..MESSAGES {
                    stream.publish(1);
                    while stream.publisher.is_blocked() && stream.publisher.pause_continues() {
                        let deadline = Instant::now() + TIMEOUT;
                        assert!(stream.waker.wait_until(deadline), "never woken");
                    }
                    stream.publisher.end_pause();
                }
            });
        }
        let received = [
            scope.spawn(|| messages.iter().take(3 * MESSAGES).count()),
            scope.spawn(|| both.iter().take(3 * MESSAGES).count()),
        ];
        for receiver in received {
            assert_eq!(receiver.join().unwrap(), 3 * MESSAGES);
        }
    });
    assert_eq!(bus.registry.closed_streams.used(), 0);
    assert!(messages.is_empty() && both.is_empty());
}
