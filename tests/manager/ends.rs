//! Shutdown of a manager: within its deadline in every situation, without leaks.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{EventReceiver, RecvTimeoutError, SubscriptionOptions, TryRecvError};
use bsv_p2p::event::{ControlEvent, Event, SubscriptionEndReason};
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::manager::PeerSelector;
use bsv_p2p::wire::{BlockHash, GetData, Inventory, Message};
use bsv_p2p::{Error, Manager};
use test_support::raw_peer::{ClosedPort, RawListener, RawPeer, SilentHost};

use crate::harness::*;

/// The maximum duration of an undisturbed shutdown.
const PROMPT: Duration = Duration::from_secs(2);

#[track_caller]
fn assert_prompt(shutdown: impl FnOnce() -> Result<(), Error> + Send) {
    assert_eq!(assert_within(PROMPT, 100, shutdown), Ok(()));
}

#[test]
fn shutdown_is_prompt_while_dialing_silent_host() {
    let host = SilentHost::new();
    let manager = manager(config());
    manager.start_fixed([host.address()]).unwrap();
    until("it is dialed", || !manager.connections().is_empty());
    assert_prompt(|| manager.shutdown());
}

#[test]
fn shutdown_is_prompt_during_pending_restart() {
    let nobody = ClosedPort::new();
    let mut config = config();
    config.restarts.backoff = Duration::from_secs(3600);
    config.restarts.max_backoff = Duration::from_secs(3600);
    let manager = manager(config);
    let events = manager.subscribe_control();
    manager.start_fixed([nobody.address()]).unwrap();
    wait_for(&events, |event| match event {
        ControlEvent::ConnectionRestarting { .. } => Some(()),
        _ => None,
    });
    assert_prompt(|| manager.shutdown());
    let last = events.iter().map(Result::unwrap).last().expect("an event");
    assert!(last.to_string().contains("shutting down"), "{last}");
}

#[test]
fn shutdown_is_prompt_while_peer_reads_nothing() {
    let (manager, _events, address) = running(listening());
    let mut peer = RawPeer::dial(address);
    peer.shake_hands();
    manager.wait_for_peers(1, LIMIT).unwrap();
    let peer_id = manager.connections()[0].peer_id;
    let entry = Inventory::Block(BlockHash([7; 32]));
    let much = Message::from(GetData {
        inventory: vec![entry; 29_000],
    });
    // Until the queue is full, too.
    while manager.send(peer_id, &much, Duration::ZERO).is_ok() {}
    assert_prompt(|| manager.shutdown());
}

/// Its receiver ends.
#[test]
fn shutdown_is_prompt_with_blocked_subscriber() {
    let node = LocalNode::start().unwrap();
    let manager = manager(config());
    let options = SubscriptionOptions {
        capacity: 1,
        ..SubscriptionOptions::default()
    };
    let stuck = manager.subscribe_with(options);
    let control = manager.subscribe_control();
    manager.start_fixed([node.address()]).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    node.mine(20).unwrap();
    assert_prompt(|| manager.shutdown());
    assert!(stuck.iter().map(Result::unwrap).count() >= 1);
    assert!(control.iter().map(Result::unwrap).count() >= 1);
    assert_eq!(stuck.end_reason(), Some(SubscriptionEndReason::Shutdown));
}

/// After the events in its queue, and without an error in a loop.
#[test]
fn receivers_report_shutdown_as_reason() {
    let ends: [fn(Manager); 2] = [|manager| manager.shutdown().unwrap(), drop];
    for end in ends {
        let node = LocalNode::start().unwrap();
        let manager = manager(config());
        let messages = manager.subscribe_messages();
        let control = manager.subscribe_control();
        let both = manager.subscribe();
        let tips = manager.subscribe_blocks().unwrap();
        manager.start_fixed([node.address()]).unwrap();
        manager.wait_for_peers(1, LIMIT).unwrap();
        node.mine(1).unwrap();
        until("each receiver has an event", || {
            let lens = [messages.len(), control.len(), both.len(), tips.len()];
            lens.iter().all(|len| *len > 0)
        });
        assert_eq!(messages.end_reason(), None);
        assert_eq!(tips.end_reason(), None);
        end(manager);
        assert_shutdown(messages);
        assert_shutdown(control);
        assert_shutdown(both);
        assert_shutdown(tips);
    }
}

/// Asserts that a receiver with events returns them, and then reports the shutdown.
#[track_caller]
fn assert_shutdown<T: std::fmt::Debug + PartialEq>(receiver: EventReceiver<T>) {
    let reason = SubscriptionEndReason::Shutdown;
    assert_eq!(receiver.end_reason(), Some(reason));
    assert!(receiver.iter().map(Result::unwrap).count() > 0);
    let ended = Err(RecvTimeoutError::Ended(reason));
    assert_eq!(receiver.recv_timeout(LIMIT), ended);
    assert_eq!(receiver.recv_deadline(Instant::now() + LIMIT), ended);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Ended(reason)));
    let selected = crossbeam_channel::select! {
        recv(receiver.as_receiver()) -> event => receiver.with_end_reason(event),
    };
    assert_eq!(selected.map_err(|error| error.reason), Err(reason));
    assert_eq!(receiver.recv().map_err(|error| error.reason), Err(reason));
    assert_eq!(receiver.into_iter().next(), None);
}

#[test]
fn subscription_after_shutdown_reports_shutdown() {
    let manager = manager(config());
    manager.shutdown().unwrap();
    let shutdown = Some(SubscriptionEndReason::Shutdown);
    assert_eq!(manager.subscribe_messages().end_reason(), shutdown);
    assert_eq!(manager.subscribe_control().end_reason(), shutdown);
    let both = manager.subscribe();
    assert_eq!(both.end_reason(), shutdown);
    assert_eq!(both.iter().next(), None);
}

#[test]
fn shutdown_is_prompt_with_waiting_threads() {
    let listener = RawListener::new();
    let manager = Arc::new(manager(config()));
    manager.start_fixed([listener.address()]).unwrap();
    let mut peer = listener.accept();
    peer.shake_hands();
    manager.wait_for_peers(1, LIMIT).unwrap();
    let asking = manager.clone();
    let waiting = manager.clone();
    let asks = thread::spawn(move || asking.ping(PeerSelector::Best, LIMIT));
    let waits = thread::spawn(move || waiting.wait_for_peers(2, LIMIT));
    peer.expect_ping();
    assert_prompt(|| manager.shutdown());
    assert!(matches!(
        asks.join().unwrap(),
        Err(Error::Disconnected { .. })
    ));
    assert!(matches!(
        waits.join().unwrap(),
        Err(Error::TooFewPeers { wanted: 2, .. })
    ));
}

#[test]
fn by_being_dropped_unstarted_or_running_and_twice() {
    drop(manager(config()));
    let unstarted = manager(listening());
    let events = unstarted.subscribe();
    assert_eq!(unstarted.shutdown(), Ok(()));
    assert_eq!(events.iter().next(), None);
    assert_eq!(unstarted.start(), Err(Error::AlreadyStarted));

    let running = manager(listening());
    let events = running.subscribe();
    running.start().unwrap();
    assert_eq!(running.start(), Err(Error::AlreadyStarted));
    let first = events.recv_timeout(LIMIT).unwrap();
    let Event::Control(ControlEvent::ListenerStarted { address }) = first else {
        panic!("{first:?}");
    };
    drop(running);
    assert_eq!(events.iter().next(), None);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn held_connection_does_not_delay_shutdown() {
    let node = LocalNode::start().unwrap();
    let manager = manager(config());
    let messages = manager.subscribe_messages();
    manager.start_fixed([node.address()]).unwrap();
    manager.wait_for_peers(1, LIMIT).unwrap();
    let held = manager.connection(PeerSelector::Best).unwrap();
    assert_prompt(|| manager.shutdown());
    let messages = messages.iter().map(Result::unwrap);
    assert!(messages.count() < 1000, "the receiver ends");
    assert!(matches!(held.ping(LIMIT), Err(Error::Disconnected { .. })));
}

#[test]
fn shutdown_is_prompt_under_concurrent_requests() {
    for _ in 0..50 {
        let manager = Arc::new(manager(config()));
        manager.start().unwrap();
        let (ended, ends) = crossbeam_channel::bounded(2);
        for _ in 0..2 {
            let asking = manager.clone();
            let ended = ended.clone();
            thread::spawn(move || {
                while asking.peers().is_ok() {}
                ended.send(asking.peers()).unwrap();
            });
        }
        assert_prompt(|| manager.shutdown());
        for _ in 0..2 {
            let end = ends.recv_timeout(LIMIT).expect("nobody waits for ever");
            assert_eq!(end, Err(Error::NotRunning));
        }
    }
}
