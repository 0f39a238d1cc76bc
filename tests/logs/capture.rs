//! A logger that stores every record, and a manager whose peers are controlled by the test.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::{Manager, ManagerConfig, Network};
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use test_support::raw_peer::DEADLINE;

/// A record, as written.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) level: Level,
    pub(crate) target: String,
    pub(crate) text: String,
    /// Keys and values, as text.
    pub(crate) values: BTreeMap<String, String>,
    /// The line that env_logger writes.
    pub(crate) line: String,
}

impl Captured {
    #[track_caller]
    pub(crate) fn value(&self, key: &str) -> &str {
        let value = self.values.get(key);
        value.unwrap_or_else(|| panic!("{key} is missing in {self:?}"))
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        self.values.keys().map(String::as_str).collect()
    }
}

struct Capture {
    records: Mutex<Vec<Captured>>,
    env_logger: env_logger::Logger,
    /// The output of env_logger.
    written: Written,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static CAPTURE: LazyLock<Capture> = LazyLock::new(|| {
    let written = Written::default();
    let env_logger = env_logger::Builder::new()
        .filter_level(LevelFilter::Trace)
        .target(env_logger::Target::Pipe(Box::new(written.clone())))
        .build();
    Capture {
        records: Mutex::default(),
        env_logger,
        written,
    }
});

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut values = Values::default();
        record.key_values().visit(&mut values).unwrap();
        let mut records = CAPTURE.records.lock();
        CAPTURE.env_logger.log(record);
        let line = mem::take(&mut *CAPTURE.written.0.lock());
        records.push(Captured {
            level: record.level(),
            target: record.target().to_owned(),
            text: record.args().to_string(),
            values: values.0,
            line: String::from_utf8(line).unwrap(),
        });
    }

    fn flush(&self) {}
}

#[derive(Default)]
struct Values(BTreeMap<String, String>);

impl<'kvs> VisitSource<'kvs> for Values {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let before = self.0.insert(key.to_string(), value.to_string());
        assert_eq!(before, None, "{key} is there twice");
        Ok(())
    }
}

/// Returns the records about a peer or banned subnet so far.
pub(crate) fn records_of(peer: impl Display) -> Vec<Captured> {
    let peer = peer.to_string();
    records_where(|record| record.values.get("peer_address") == Some(&peer))
}

/// Returns the matching records so far.
pub(crate) fn records_where(matches: impl Fn(&Captured) -> bool) -> Vec<Captured> {
    let records = CAPTURE.records.lock().clone();
    records.into_iter().filter(matches).collect()
}

/// Stores all records from now on.
pub(crate) fn start_capture() {
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
}

/// Starts a listening manager. Returns its events and its address, too. Records are kept from now
/// on.
pub(crate) fn listening(level: LevelFilter) -> (Manager, EventReceiver<ControlEvent>, SocketAddr) {
    start_capture();
    let mut config = ManagerConfig::new(Network::Regtest);
    config.target_connections = 0;
    config.listener.enabled = true;
    config.listener.address = Some("127.0.0.1:0".parse().unwrap());
    config.log_level = level;
    let manager = Manager::new(config).unwrap();
    let events = manager.subscribe_control();
    manager.start().unwrap();
    match events.recv_timeout(DEADLINE).unwrap() {
        ControlEvent::ListenerStarted { address } => (manager, events, address),
        other => panic!("{other}"),
    }
}

/// Waits for the end of a connection. All its records exist by then.
#[track_caller]
pub(crate) fn wait_for_end(events: &EventReceiver<ControlEvent>, peer: SocketAddr) {
    loop {
        let event = events.recv_timeout(DEADLINE).expect("the end");
        if let ControlEvent::ConnectionLost { address, .. }
        | ControlEvent::ConnectionFailed { address, .. } = event
            && address == peer
        {
            return;
        }
    }
}
