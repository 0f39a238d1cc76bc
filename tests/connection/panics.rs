//! Loggers and visitors that panic, or that end the connection whose thread calls them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};
use std::thread;

use bsv_p2p::connection::BlockVisitor;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{BlockHeader, Message};
use crossbeam_channel::bounded;
use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use test_support::own_process::{run_in_own_process, threads_and_descriptors};
use test_support::raw_peer::{DEADLINE, RawListener, frame, protoconf, version, wait_until};

use crate::block_reader::{asked, block_of};
use crate::harness::{Actor, config};

/// A text, and an action at the first record of the connection that contains it.
type RecordAction = (&'static str, Box<dyn FnOnce() + Send>);

static ACTION: Mutex<Option<RecordAction>> = Mutex::new(None);

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "bsv_p2p::connection"
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        let action = ACTION.lock().take_if(|(at, _)| text.contains(*at));
        if let Some((_, action)) = action {
            action();
        }
    }

    fn flush(&self) {}
}

/// Calls `action` once, in the logger, at the first record that contains `text`.
fn at_record(text: &'static str, action: impl FnOnce() + Send + 'static) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        log::set_logger(&Logger).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
    *ACTION.lock() = Some((text, Box::new(action)));
}

/// Fails if `call` does not return in time.
#[track_caller]
fn returns(what: &str, call: impl FnOnce() + Send + 'static) {
    let (done, wait) = bounded::<()>(1);
    thread::spawn(move || {
        call();
        let _ = done.send(());
    });
    assert!(
        wait.recv_timeout(DEADLINE).is_ok(),
        "{what} does not return"
    );
}

#[test]
fn panic_of_logger_ends_only_its_connection() {
    run_in_own_process("panics::panic_of_logger_ends_only_its_connection", || {
        let (other, _other_peer) = Actor::connected(&config());
        for at in [
            "dialing",
            "connection established",
            "sent version",
            "handshake complete",
            "connection closed",
        ] {
            at_record(at, move || panic!("the logger panics at {at:?}"));
            let listener = RawListener::new();
            let actor = Actor::dial(listener.address(), &config());
            let expected = if at == "connection closed" {
                let mut peer = listener.accept();
                peer.shake_hands();
                actor.expect_handshake();
                peer.close();
                DisconnectReason::ConnectionClosed
            } else {
                if at != "dialing" {
                    let peer = listener.accept();
                    // The connection may be closed before these are sent.
                    let greeting = [version().into(), Message::Verack, protoconf().into()];
                    greeting.into_iter().all(|message| peer.try_send(message));
                }
                DisconnectReason::InternalError
            };
            assert_eq!(actor.expect_end().1, expected, "{at}");
            assert!(ACTION.lock().is_none(), "{at}");
            let handle = actor.handle;
            returns("drop of the handle", move || drop(handle));
            assert_eq!(actor.events.try_iter().count(), 0, "{at}");
        }
        other.handle.try_send(Message::Verack).unwrap_err();
        other.handle.try_send(crate::harness::message("x")).unwrap();
    });
}

#[test]
fn logger_on_own_thread_may_drop_handle() {
    run_in_own_process("panics::logger_on_own_thread_may_drop_handle", || {
        let before = threads_and_descriptors();
        let (Actor { handle, events, .. }, mut peer) = Actor::connected(&config());
        let (done, dropped) = bounded(1);
        at_record("connection closed", move || {
            drop(handle);
            done.send(()).unwrap();
        });
        peer.close();
        dropped.recv_timeout(DEADLINE).expect("drop returns");
        let last = events.iter().map(Result::unwrap).last().unwrap();
        assert_eq!(last.name(), "ConnectionLost");
        drop((events, peer));
        wait_until("the thread has ended", || {
            threads_and_descriptors() == before
        });
    });
}

#[test]
fn logger_may_join_while_others_join() {
    run_in_own_process("panics::logger_may_join_while_others_join", || {
        let (Actor { handle, .. }, mut peer) = Actor::connected(&config());
        let handle = Arc::new(handle);
        let (done, joined) = bounded(2);
        let (own, own_done) = (handle.clone(), done.clone());
        at_record("connection closed", move || {
            own.join();
            own_done.send(()).unwrap();
        });
        thread::spawn(move || {
            handle.join();
            done.send(()).unwrap();
        });
        peer.close();
        for _ in 0..2 {
            joined.recv_timeout(DEADLINE).expect("join returns");
        }
    });
}

/// A visitor that panics at the header.
struct Panicking;

impl BlockVisitor for Panicking {
    fn header(&mut self, _: &BlockHeader) {
        panic!("the visitor panics");
    }
}

#[test]
fn panic_of_visitor_ends_only_its_connection() {
    let (other, mut other_peer) = Actor::connected(&config());
    let (actor, mut peer) = Actor::connected(&config());
    let block = block_of(3, 2_000_000);
    let reader = asked(&actor, &mut peer, block.hash(), |peer, _| {
        peer.send_bytes(&frame(&block.clone().into())[..1_000_000]);
    });
    let reader = reader.unwrap();
    let visited = catch_unwind(AssertUnwindSafe(|| reader.visit(&mut Panicking)));
    assert!(visited.is_err());
    let (_, reason) = actor.expect_end();
    assert_eq!(reason, DisconnectReason::BlockReaderAbandoned);
    let handle = actor.handle;
    returns("drop of the handle", move || drop(handle));
    other.handle.try_send(crate::harness::message("x")).unwrap();
    other_peer.expect("test");
}
