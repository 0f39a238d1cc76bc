//! A process that is stopped for longer than the ping timeout, and continues.
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, stdin};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions};
use bsv_p2p::wire::{AssociationId, Message, Ping, Pong, Version};
use test_support::raw_peer::{RawListener, RawPeer, version, wait_until};

use crate::harness::{both_policies, config};
use crate::hostile_responder::ack;

/// Environment variables of the dialing process.
const ADDRESS: &str = "BSV_P2P_TEST_ADDRESS";
const STREAMS: &str = "BSV_P2P_TEST_STREAMS";

const PING_INTERVAL: Duration = Duration::from_millis(100);
const PING_TIMEOUT: Duration = Duration::from_millis(1500);

/// The process that the tests stop. It dials the test until its standard input ends.
#[test]
#[ignore = "the other tests of this file start it"]
fn dialing_process() {
    let Ok(address) = env::var(ADDRESS) else {
        return;
    };
    let mut config = config();
    config.session.multistreams = env::var(STREAMS).unwrap() == "2";
    config.session.ping_interval = PING_INTERVAL;
    config.session.ping_timeout = PING_TIMEOUT;
    let options = PeerConnectionOptions::new(config);
    let _handle = PeerConnectionActor::spawn_outbound(address.parse().unwrap(), options).unwrap();
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A process that dials the test. Dropping it ends it.
struct Dialer(Child);

impl Dialer {
    fn start(address: SocketAddr, streams: &str) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "suspension::dialing_process", "--ignored"])
            .env(ADDRESS, address.to_string())
            .env(STREAMS, streams)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn is_stopped(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        status.rsplit(") ").next().unwrap().starts_with('T')
    }

    /// Stops the process while a ping over `stream` is open, answers the ping meanwhile, and lets the
    /// process continue after the ping has timed out.
    #[track_caller]
    fn stop_with_open_ping(&self, stream: &mut RawPeer) {
        let nonce = stream.expect_ping();
        self.signal("-STOP");
        wait_until("the process is stopped", || self.is_stopped());
        stream.send(Pong::new(nonce));
        let silence = Some(PING_TIMEOUT + Duration::from_millis(500));
        stream.tcp().set_read_timeout(silence).unwrap();
        let read = stream.tcp().read(&mut [0]);
        assert_eq!(read.unwrap_err().kind(), ErrorKind::WouldBlock);
        self.signal("-CONT");
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asserts that the connection still sends pings over `stream`, and answers them.
#[track_caller]
fn assert_is_well(stream: &mut RawPeer) {
    for _ in 0..3 {
        let nonce = stream.expect_ping();
        stream.send(Pong::new(nonce));
    }
}

#[test]
fn pong_received_while_stopped_counts() {
    let listener = RawListener::new();
    let dialer = Dialer::start(listener.address(), "1");
    let mut peer = listener.accept();
    peer.shake_hands();
    dialer.stop_with_open_ping(&mut peer);
    assert_is_well(&mut peer);
}

#[test]
fn pong_on_second_stream_while_stopped_counts() {
    let listener = RawListener::new();
    let dialer = Dialer::start(listener.address(), "2");
    let mut general = listener.accept();
    let Message::Version(ours) = general.expect("version") else {
        unreachable!()
    };
    let association_id = ours.association_id;
    assert!(matches!(association_id, Some(AssociationId::Uuid(_))));
    general.send(Version {
        association_id,
        ..version()
    });
    general.send(Message::Verack);
    general.send(both_policies());
    thread::scope(|scope| {
        // Pings use the first stream until the second one is open.
        let pings = general.another_holder();
        scope.spawn(move || {
            let answers = RawPeer::new(pings);
            for message in &mut general {
                if let Message::Ping(Ping { nonce: Some(nonce) }) = message {
                    answers.try_send(Pong::new(nonce));
                }
            }
        });
        let mut data1 = listener.accept();
        let Message::CreateStrm(request) = data1.next_message() else {
            panic!("createstrm comes first")
        };
        data1.send(ack(&request));
        dialer.stop_with_open_ping(&mut data1);
        assert_is_well(&mut data1);
        drop(dialer);
    });
}
