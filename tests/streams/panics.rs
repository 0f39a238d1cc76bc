//! Loggers that panic on the thread of a second stream, or that end its connection there.

use std::thread;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use crossbeam_channel::bounded;
use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use test_support::own_process::run_in_own_process;
use test_support::raw_peer::DEADLINE;

use crate::harness::{config, wait_for};
use crate::hostile_responder::{Dialed, ack};

/// An action at the first record about an open second stream.
static ACTION: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "bsv_p2p::connection"
    }

    fn log(&self, record: &Record<'_>) {
        if record.args().to_string().contains(" opened, policy ") {
            let action = ACTION.lock().take();
            action.expect("one stream is opened")();
        }
    }

    fn flush(&self) {}
}

/// Calls `action` in the logger, on the thread of the second stream.
fn on_data_thread(action: impl FnOnce() + Send + 'static) {
    *ACTION.lock() = Some(Box::new(action));
    log::set_logger(&Logger).unwrap();
    log::set_max_level(LevelFilter::Info);
}

/// Waits for the end of the connection.
#[track_caller]
fn expect_end(this: &Dialed) -> DisconnectReason {
    let end = wait_for(&this.control, "the end", |event| {
        matches!(event, ControlEvent::ConnectionLost { .. })
    });
    match end {
        ControlEvent::ConnectionLost { reason, .. } => reason,
        _ => unreachable!(),
    }
}

#[test]
fn panic_of_logger_on_second_stream_ends_peer() {
    run_in_own_process("panics::panic_of_logger_on_second_stream_ends_peer", || {
        let (this, data1, request) = Dialed::asked(config());
        on_data_thread(|| panic!("the logger panics"));
        data1.send(ack(&request));
        assert_eq!(expect_end(&this), DisconnectReason::InternalError);
        let (done, dropped) = bounded(1);
        thread::spawn(move || {
            drop(this);
            done.send(()).unwrap();
        });
        dropped.recv_timeout(DEADLINE).expect("drop returns");
    });
}

#[test]
fn logger_on_second_stream_may_close_and_join() {
    run_in_own_process("panics::logger_on_second_stream_may_close_and_join", || {
        let (this, data1, request) = Dialed::asked(config());
        let this = std::sync::Arc::new(this);
        let (done, joined) = bounded(1);
        let own = this.clone();
        on_data_thread(move || {
            own.handle.disconnect();
            own.handle.join();
            done.send(()).unwrap();
        });
        data1.send(ack(&request));
        joined.recv_timeout(DEADLINE).expect("join returns");
        assert_eq!(expect_end(&this), DisconnectReason::Requested);
    });
}
