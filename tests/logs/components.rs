//! The records of each component, with their targets and key-values.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use bsv_p2p::connection::{EventReceiver, OverflowPolicy, SubscriptionOptions};
use bsv_p2p::discovery::{Deadline, ResolveError, SeedResolver};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::session::{DisconnectReason, NonceRegistry};
use bsv_p2p::wire::{
    AssociationId, BlockHash, CreateStrm, HeaderChain, Inv, Inventory, Mempool, Message,
    StreamType, Transaction, Tx,
};
use bsv_p2p::{Connection, ConnectionConfig, Error, HeaderStore, Manager, ManagerConfig, Network};
use log::{Level, LevelFilter};
use test_support::raw_peer::{DEADLINE, RawPeer, socket_pair, wait_until};

use crate::capture::{Captured, listening, records_of, records_where, start_capture};

/// Returns the only matching record.
#[track_caller]
fn single(matches: impl Fn(&Captured) -> bool) -> Captured {
    let mut found = records_where(matches);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn config(level: LevelFilter) -> ManagerConfig {
    let mut config = ManagerConfig::new(Network::Regtest);
    config.target_connections = 0;
    config.log_level = level;
    config
}

fn inv() -> Message {
    Inv::from(vec![Inventory::Block(BlockHash([7; 32]))]).into()
}

/// Waits for an event, after which its record exists.
#[track_caller]
fn wait_for(events: &EventReceiver<ControlEvent>, is_it: impl Fn(&ControlEvent) -> bool) {
    while !is_it(&events.recv_timeout(DEADLINE).expect("the event")) {}
}

/// Accepts a blocking connection that ends after an `inv` in each direction. Returns the address of
/// the peer.
fn blocking_connection() -> SocketAddr {
    let (ours, theirs) = socket_pair();
    let address = ours.peer_addr().unwrap();
    let config = ConnectionConfig::new(Network::Regtest);
    let peer = std::thread::spawn(move || {
        let mut peer = RawPeer::new(theirs);
        peer.shake_hands();
        peer.send(inv());
        peer.expect("inv");
        peer.close_writing();
        peer.rest();
    });
    let mut connection = Connection::accept(ours, &config, &NonceRegistry::default()).unwrap();
    while !matches!(connection.receive(), Ok(Message::Inv(_))) {}
    connection.send(inv()).unwrap();
    let end = loop {
        if let Err(error) = connection.receive() {
            break error;
        }
    };
    let closed = DisconnectReason::ConnectionClosed;
    assert!(matches!(end, Error::Disconnected { reason, .. } if reason == closed));
    peer.join().unwrap();
    address
}

#[test]
fn blocking_connection_logs_all_fields() {
    start_capture();
    let address = blocking_connection();
    let records = records_of(address);
    let keys = ["direction", "network", "peer_address", "state"];
    for (text, level, extra) in [
        ("inbound connection established", Level::Info, None),
        (
            "handshake complete with /Bitcoin SV:1.2.2/",
            Level::Info,
            None,
        ),
        ("received inv of 37 bytes", Level::Debug, Some("command")),
        ("received Inv(Inv {", Level::Trace, Some("command")),
        ("sent inv of 37 bytes", Level::Debug, Some("command")),
        ("sent Inv(Inv {", Level::Trace, Some("command")),
        (
            "inbound connection closed: connection closed by peer",
            Level::Info,
            Some("error"),
        ),
    ] {
        let text = format!("{address}: {text}");
        let mut found = records
            .iter()
            .filter(|record| record.text.starts_with(&text));
        let (Some(record), None) = (found.next(), found.next()) else {
            panic!("{text:?} in {records:#?}");
        };
        assert_eq!(record.level, level, "{record:?}");
        assert_eq!(record.target, "bsv_p2p::connection");
        let mut keys: Vec<_> = keys.into_iter().chain(extra).collect();
        keys.sort_unstable();
        assert_eq!(record.keys(), keys);
        assert_eq!(record.value("direction"), "inbound");
        assert_eq!(record.value("network"), "regtest");
    }
}

/// Lets a subscription drop messages of a manager with this log level.
fn drop_messages(name: &str, level: LevelFilter) {
    let (manager, events, address) = listening(level);
    let options = SubscriptionOptions {
        capacity: 1,
        overflow: OverflowPolicy::DropNewest,
        ..SubscriptionOptions::with_name(name)
    };
    let _messages = manager.subscribe_messages_with(options);
    let mut peer = RawPeer::dial(address);
    peer.shake_hands();
    for _ in 0..10 {
        peer.send(inv());
    }
    wait_for(&events, |event| {
        matches!(event, ControlEvent::Lagged { .. })
    });
}

#[test]
fn subscription_records_have_its_name() {
    drop_messages("logged", LevelFilter::Warn);
    let of = |name: &str| {
        let name = name.to_owned();
        records_where(move |record| record.values.get("subscription") == Some(&name))
    };
    let record = &of("logged")[0];
    let text = &record.text;
    assert!(text.starts_with("subscription logged dropped "), "{text}");
    assert_eq!(record.level, Level::Warn);
    assert_eq!(record.target, "bsv_p2p::connection");
    // The level of the manager applies to its subscriptions.
    drop_messages("silent", LevelFilter::Error);
    assert!(of("silent").is_empty());
}

#[test]
fn manager_start_and_stop_are_logged() {
    start_capture();
    let is_life = |record: &Captured| {
        let text = &record.text;
        record.target == "bsv_p2p::manager" && text.starts_with("manager st")
    };
    let count = |text: &str| {
        let records = records_where(|record| is_life(record) && record.text == text);
        for record in &records {
            assert_eq!(
                (record.level, record.keys()),
                (Level::Info, vec!["network"])
            );
        }
        records.len()
    };
    let manager = Manager::new(config(LevelFilter::Info)).unwrap();
    manager.start().unwrap();
    manager.shutdown().unwrap();
    assert!(count("manager started") > 0);
    assert!(count("manager stopped") > 0);
}

struct NoSeeds;

impl SeedResolver for NoSeeds {
    fn resolve(&self, name: &str, _: &Deadline) -> Result<Vec<std::net::IpAddr>, ResolveError> {
        Err(ResolveError::NotFound { name: name.into() })
    }
}

#[test]
fn failed_seed_is_logged_as_discovery() {
    start_capture();
    let lookup = |seed: &str, level| {
        let mut config = config(level);
        config.target_connections = 1;
        config.discovery.seeds = Some(vec![seed.into()]);
        let manager = Manager::new(config)
            .unwrap()
            .with_resolver(Arc::new(NoSeeds));
        let events = manager.subscribe_control();
        manager.start().unwrap();
        wait_for(&events, |event| {
            matches!(event, ControlEvent::DiscoveryFailed { .. })
        });
    };
    lookup("unlogged.test", LevelFilter::Error);
    lookup("logged.test", LevelFilter::Warn);
    let record = single(|record| record.text.contains("logged.test"));
    assert!(!record.text.contains("unlogged"), "{record:?}");
    assert_eq!(record.target, "bsv_p2p::discovery");
    assert_eq!(record.level, Level::Warn);
    assert_eq!(record.keys(), ["error", "network"]);
    assert_eq!(record.value("error"), record.text);
}

#[test]
fn damaged_peer_file_is_logged_as_peers() {
    start_capture();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logged-peers.json");
    fs::write(&path, "{ \"version\": 1,").unwrap();
    let manager = Manager::with_file(config(LevelFilter::Error), &path).unwrap();
    manager.start().unwrap();
    let record = single(|record| record.text.contains("logged-peers.json"));
    assert!(record.text.starts_with("peer store failed: "), "{record:?}");
    assert_eq!(record.target, "bsv_p2p::peers");
    assert_eq!(record.level, Level::Error);
    assert_eq!(record.keys(), ["error", "network"]);
    assert_eq!(record.value("network"), "regtest");
}

#[test]
fn damaged_header_file_is_logged_as_header_store() {
    start_capture();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logged-headers");
    let chain = HeaderChain::new(Network::Regtest);
    HeaderStore::export(&chain, &path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([7; 33]);
    fs::write(&path, bytes).unwrap();
    let manager = Manager::new(config(LevelFilter::Error))
        .unwrap()
        .with_headers(&path)
        .unwrap();
    let events = manager.subscribe_control();
    manager.start_fixed([""; 0]).unwrap();
    wait_for(&events, |event| {
        matches!(event, ControlEvent::HeaderStoreFailed { .. })
    });
    let record = single(|record| record.text.contains("logged-headers"));
    assert!(
        record.text.starts_with("header store failed: "),
        "{record:?}"
    );
    assert_eq!(record.target, "bsv_p2p::header_store");
    assert_eq!(record.level, Level::Error);
    assert_eq!(record.keys(), ["error", "network"]);
}

#[test]
fn rejected_stream_request_is_logged_without_peer() {
    start_capture();
    let node = LocalNode::start().unwrap();
    let mut peer = RawPeer::dial(node.address());
    let name = peer.tcp().local_addr().unwrap();
    peer.send(CreateStrm {
        association_id: AssociationId::Null,
        stream_type: StreamType::Data1,
        stream_policy: "Default".into(),
    });
    peer.expect("reject");
    let records = records_of(name);
    let [record] = &records[..] else {
        panic!("{records:#?}");
    };
    assert_eq!(record.target, "bsv_p2p::connection");
    assert_eq!(record.level, Level::Debug);
    let keys = ["direction", "error", "network", "peer_address"];
    assert_eq!(record.keys(), keys);
    let error = DisconnectReason::StreamRefused;
    assert_eq!(
        record.text,
        format!("{name}: stream request rejected: {error}")
    );
}

#[test]
fn local_node_logs_rejects_and_closing() {
    start_capture();
    let node = LocalNode::start().unwrap();
    let mut peer = RawPeer::dial(node.address());
    let name = peer.tcp().local_addr().unwrap();
    peer.shake_hands();
    let invalid = Tx::from(&Transaction {
        version: 1,
        inputs: Vec::new(),
        outputs: Vec::new(),
        lock_time: 0,
    });
    peer.send(invalid.clone());
    peer.expect("reject");
    peer.send(Mempool::default());
    peer.rest();
    let find = |text: String| {
        let of_node = |record: &Captured| record.target == "bsv_p2p::local_node";
        let name = name.to_string();
        single(|record| {
            let is_peer = record.values.get("peer_address") == Some(&name);
            of_node(record) && is_peer && record.text == text
        })
    };
    let rejected = find(format!(
        "{name}: tx {} rejected: bad-txns-vin-empty",
        invalid.txid()
    ));
    assert_eq!(rejected.level, Level::Debug);
    let keys = ["direction", "error", "network", "peer_address", "peer_id"];
    assert_eq!(rejected.keys(), keys);
    assert_eq!(rejected.value("error"), "bad-txns-vin-empty");
    let closing = find(format!("{name}: closing: mempool request"));
    assert_eq!(closing.level, Level::Info);
    assert_eq!(
        closing.keys(),
        ["direction", "network", "peer_address", "peer_id"]
    );
    assert_eq!(closing.value("direction"), "inbound");
    wait_until("the connection has the same id", || {
        records_of(name)
            .iter()
            .any(|record| record.target == "bsv_p2p::connection")
    });
    for record in records_of(name) {
        assert_eq!(record.value("peer_id"), closing.value("peer_id"));
    }
}
