//! Content of peers cannot forge or break log lines.

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::session::NonceRegistry;
use bsv_p2p::wire::{Command, Message, Reject, RejectCode, Version, WireString};
use bsv_p2p::{Connection, ConnectionConfig, Network};
use log::LevelFilter;
use test_support::raw_peer::{RawPeer, socket_pair, version, wait_until};

use crate::capture::{Captured, listening, records_of, start_capture, wait_for_end};

/// Line ends, a forged record, escape sequences, quotes, text direction marks, invalid UTF-8.
const EVIL: &[u8] =
    b"/x/\r\n[2026-01-01T00:00:00Z ERROR bsv_p2p] forged\x0b\x0c\x1b[31m\x1b]0;t\x07\
    \" error=\"no\" '\\n\x00\x7f\x85\x9b31m\xe2\x80\xae\xe2\x80\xa8\xc2\x85\xff";

fn evil_version(prefix: &str) -> Version {
    let agent = [prefix.as_bytes(), EVIL].concat();
    Version {
        user_agent: Some(WireString::from(&agent[..])),
        ..version()
    }
}

/// A command of the maximum length.
const EVIL_NAME: &[u8; 12] = b"a\nb\x1b[31m\r\nef";

fn evil_reject(refused: &[u8]) -> Reject {
    let mut reject = Reject::new("", RejectCode::INVALID, "");
    (reject.message, reject.reason) = (WireString::from(refused), WireString::from(EVIL));
    reject
}

/// Asserts that each record is one line in any formatter, and shows the content in printable
/// characters.
#[track_caller]
fn check(records: &[Captured], escaped: &str) {
    assert!(!records.is_empty());
    for record in records {
        let line = record.line.strip_suffix('\n').expect("the end of the line");
        let texts = [line, &record.text].into_iter();
        for text in texts.chain(record.values.values().map(String::as_str)) {
            let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            assert!(printable, "{text:?} of {record:?}");
        }
        assert!(line.contains(&record.text), "{record:?}");
    }
    let says = |record: &&Captured| record.text.contains(escaped);
    assert!(records.iter().any(|record| says(&record)), "{records:#?}");
}

#[test]
fn hostile_user_agent_and_messages_keep_lines_intact() {
    let (_manager, events, address) = listening(LevelFilter::Trace);
    let mut peer = RawPeer::dial(address);
    let name = peer.tcp().local_addr().unwrap();
    peer.shake_hands_as(evil_version(""));
    peer.send(evil_reject(EVIL_NAME));
    peer.send(Message::Unknown {
        command: Command::new("\" error=\"x"),
        payload: EVIL.into(),
    });
    // An invalid command, and an undecodable message.
    let mut frame = test_support::raw_peer::frame(&Message::Verack);
    frame[4..16].copy_from_slice(EVIL_NAME);
    peer.send_bytes(&frame);
    let truncated = Message::Unknown {
        command: Command::new("reject"),
        payload: EVIL.into(),
    };
    peer.send(truncated);
    peer.ping(7);
    peer.close();
    wait_for_end(&events, name);
    let records = records_of(name);
    check(&records, r"handshake complete with /x/\r\n[2026");
    check(&records, r"received Reject(Reject {");
    check(&records, r"received Unknown {");
    check(&records, r"a\nb\x1b[31m");
}

#[test]
fn hostile_reject_reason_keeps_lines_intact() {
    let (_manager, events, address) = listening(LevelFilter::Trace);
    let peer = RawPeer::dial(address);
    let name = peer.tcp().local_addr().unwrap();
    peer.send(evil_version(""));
    peer.send(evil_reject(b"version"));
    peer.close_writing();
    wait_for_end(&events, name);
    check(&records_of(name), r"\x1b[31m");
}

#[test]
fn banned_user_agent_keeps_lines_intact() {
    let (_manager, events, address) = listening(LevelFilter::Trace);
    let peer = RawPeer::dial(address);
    let name = peer.tcp().local_addr().unwrap();
    peer.send(evil_version("/Bitcoin ABC:1/"));
    wait_for_end(&events, name);
    check(&records_of(name), r"/Bitcoin ABC:1//x/\r\n[2026");
}

/// Sends hostile text in messages that are logged, and ends.
fn send_hostile_text(mut peer: RawPeer) {
    peer.shake_hands_as(evil_version(""));
    peer.send(evil_reject(EVIL_NAME));
    peer.send(Message::Unknown {
        command: Command::new("\" error=\"x"),
        payload: EVIL.into(),
    });
    peer.ping(7);
    peer.close_writing();
    peer.rest();
}

#[test]
fn hostile_text_keeps_lines_of_local_node_intact() {
    start_capture();
    let node = LocalNode::start().unwrap();
    let peer = RawPeer::dial(node.address());
    let name = peer.tcp().local_addr().unwrap();
    send_hostile_text(peer);
    let closed = |record: &Captured| record.text.contains("connection closed");
    wait_until("the end is recorded", || {
        records_of(name).iter().any(closed)
    });
    let records = records_of(name);
    check(&records, r"handshake complete with /x/\r\n[2026");
    check(&records, r"a\nb\x1b[31m");
    let command = records.iter().any(|record| {
        record
            .values
            .get("command")
            .is_some_and(|name| name == "\" error=\"x")
    });
    assert!(command, "{records:#?}");
}

#[test]
fn hostile_text_keeps_lines_of_blocking_connection_intact() {
    start_capture();
    let (ours, theirs) = socket_pair();
    let name = ours.peer_addr().unwrap();
    let peer = std::thread::spawn(move || send_hostile_text(RawPeer::new(theirs)));
    let config = ConnectionConfig::new(Network::Regtest);
    let mut connection = Connection::accept(ours, &config, &NonceRegistry::default()).unwrap();
    while connection.receive().is_ok() {}
    peer.join().unwrap();
    let records = records_of(name);
    check(&records, r"handshake complete with /x/\r\n[2026");
    check(&records, r"a\nb\x1b[31m");
}
