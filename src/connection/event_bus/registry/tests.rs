//! Control events: capacity, life-cycle events and reports of dropped events.

use super::*;
use crate::connection::event_bus::test_events::{
    connection_lost, lagged, message_of_len, name_of, payload_discarded,
};
use crate::connection::waker::Waker;
use crate::connection::{
    ConnectionConfig, EventBus, EventReceiver, OverflowPolicy, RecvError, TryRecvError,
};
use crate::event::Event;
use crate::network::Network;

/// The capacity of a control subscription.
const CAPACITY: u64 = 1024;

fn options(name: &str, capacity: usize, overflow: OverflowPolicy) -> SubscriptionOptions {
    SubscriptionOptions {
        capacity,
        overflow,
        ..SubscriptionOptions::with_name(name)
    }
}

#[track_caller]
fn taken(receiver: &EventReceiver<ControlEvent>) -> Vec<ControlEvent> {
    receiver.try_iter().map(Result::unwrap).collect()
}

#[track_caller]
fn names(receiver: &EventReceiver<Event>) -> Vec<&'static str> {
    let events = receiver.try_iter().map(Result::unwrap);
    events.map(|event| name_of(&event)).collect()
}

#[test]
fn full_control_queue_keeps_life_cycle_events() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    for len in 0..CAPACITY + 500 {
        bus.publish_control(&payload_discarded(len));
    }
    for _ in 0..3 {
        bus.publish_control(&connection_lost());
    }
    bus.publish_control(&payload_discarded(0));
    let events = taken(&control);
    let (kept, rest) = events.split_at(CAPACITY as usize);
    let expected: Vec<_> = (0..CAPACITY).map(payload_discarded).collect();
    assert_eq!(kept, expected);
    let lost = connection_lost();
    let report = lagged("control 1", 500);
    assert_eq!(rest, [report, lost.clone(), lost.clone(), lost]);
    bus.publish_control(&payload_discarded(1));
    assert_eq!(
        taken(&control),
        [lagged("control 1", 1), payload_discarded(1)]
    );
}

#[test]
fn full_combined_queue_keeps_life_cycle_events() {
    for overflow in [OverflowPolicy::Block, OverflowPolicy::DropNewest] {
        let bus = EventBus::new();
        let both = bus.subscribe_with(options("both", 3, overflow));
        for len in 0..5 {
            bus.publish_control(&payload_discarded(len));
        }
        bus.publish_control(&connection_lost());
        let discarded = "PayloadDiscarded";
        assert_eq!(
            names(&both),
            [discarded, discarded, discarded, "Lagged", "ConnectionLost"]
        );
    }
}

#[test]
fn untaken_life_cycle_events_end_subscription() {
    let bus = EventBus::new();
    let (stuck, both, reading) = (
        bus.subscribe_control(),
        bus.subscribe_with(options("both", 2, OverflowPolicy::DropNewest)),
        bus.subscribe_control(),
    );
    let mut read = 0;
    for _ in 0..MAX_LIFE_CYCLE_EVENTS {
        bus.publish_control(&connection_lost());
        read += taken(&reading).len() as u64;
    }
    assert_eq!((stuck.end_reason(), both.end_reason()), (None, None));
    // A receiver that takes one event gets the next one.
    assert!(both.try_recv().is_ok());
    bus.publish_control(&connection_lost());
    let reason = SubscriptionEndReason::TooSlow;
    assert_eq!(stuck.try_recv(), Err(TryRecvError::Ended(reason)));
    assert_eq!(read, MAX_LIFE_CYCLE_EVENTS);
    // The report is a life-cycle event as well, for which the second receiver has no room.
    assert_eq!(both.recv(), Err(RecvError { reason }));
    let ended = |name: &str| ControlEvent::SubscriptionEnded {
        subscription: name.into(),
        reason,
    };
    let mut last = taken(&reading);
    last.sort_by_key(ToString::to_string);
    let mut expected = [connection_lost(), ended("control 1"), ended("both")];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(last, expected);
}

#[test]
fn lag_of_message_receiver_is_reported_to_control_receivers() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let both = bus.subscribe();
    let sampled = bus.subscribe_messages_with(options("sampled", 2, OverflowPolicy::DropNewest));
    let config = ConnectionConfig::new(Network::Regtest);
    let mut publisher = bus.publisher(&config, Arc::new(Waker::new()));
    for _ in 0..10 {
        publisher.message(message_of_len(1));
    }
    bus.report_lag(false);
    assert_eq!(taken(&control), [lagged("sampled", 8)]);
    assert_eq!(names(&both).last(), Some(&"Lagged"));
    // The next report is due after a second, or at the end of a connection.
    publisher.message(message_of_len(1));
    bus.report_lag(false);
    assert!(control.is_empty());
    bus.report_lag(true);
    assert_eq!(taken(&control), [lagged("sampled", 1)]);
    assert_eq!(sampled.len(), 2);
}

#[test]
fn full_receiver_gets_report_once_it_has_room() {
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    for len in 0..CAPACITY + 5 {
        bus.publish_control(&payload_discarded(len));
    }
    bus.registry.reported_at.lock().take();
    bus.report_lag(false);
    assert_eq!(control.len() as u64, CAPACITY, "there is no room");
    control.recv().unwrap();
    control.recv().unwrap();
    bus.registry.reported_at.lock().take();
    bus.report_lag(false);
    assert_eq!(taken(&control).last(), Some(&lagged("control 1", 5)));
}

#[test]
fn last_report_precedes_end_of_full_receiver() {
    for shut_down in [true, false] {
        let bus = EventBus::new();
        let control = bus.subscribe_control();
        for len in 0..CAPACITY + 5 {
            bus.publish_control(&payload_discarded(len));
        }
        if shut_down {
            bus.close();
        } else {
            drop(bus);
        }
        let events: Vec<_> = control.iter().map(Result::unwrap).collect();
        assert_eq!(events.last(), Some(&lagged("control 1", 5)));
    }
}

#[test]
fn closed_bus_ends_later_subscriptions() {
    let bus = EventBus::new();
    let before = bus.subscribe();
    bus.publish_control(&connection_lost());
    bus.close();
    bus.publish_control(&connection_lost());
    assert_eq!(before.iter().count(), 1);
    let shutdown = Some(SubscriptionEndReason::Shutdown);
    assert_eq!(before.end_reason(), shutdown);
    assert_eq!(bus.subscribe_control().end_reason(), shutdown);
}

#[test]
fn dropped_receivers_leave_registry() {
    let bus = EventBus::new();
    for _ in 0..100 {
        drop(bus.subscribe_messages());
        drop(bus.subscribe_control());
        drop(bus.subscribe());
    }
    let kept = bus.subscribe();
    let lists = bus.registry.lists.lock().clone();
    assert_eq!((lists.control.len(), lists.messages.len()), (1, 1));
    drop(kept);
    bus.publish_control(&connection_lost());
    let lists = bus.registry.lists.lock().clone();
    assert_eq!((lists.control.len(), lists.messages.len()), (0, 0));
}
