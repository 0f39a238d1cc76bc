//! Exhausts the file descriptors of a separate process.
#![cfg(unix)]

use std::env;
use std::fs::File;
use std::process::Command;

use super::*;

/// Set in the child process, which uses up its descriptors. Other tests need theirs.
const EXHAUSTED: &str = "BSV_P2P_TEST_EXHAUSTS_DESCRIPTORS";
/// The name of the test, which the child process runs.
const TEST: &str = "manager::listener::tests::descriptors::\
    missing_descriptors_are_reported_once";

#[test]
fn missing_descriptors_are_reported_once() {
    if env::var_os(EXHAUSTED).is_some() {
        return exhaust();
    }
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", TEST, "--test-threads=1", "--nocapture"])
        .env(EXHAUSTED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

fn exhaust() {
    let (listener, news) = start_at(ANY, HOUR, 8);
    let address = started(&news);
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let clients = [socket(), socket(), socket()];
    let mut descriptors: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    for client in &clients {
        client.connect_timeout(&address.into(), DEADLINE).unwrap();
    }

    // One connection is still accepted if the system reserves a descriptor before it waits.
    let mut in_hand = Vec::new();
    while in_hand.len() < 2 {
        match next(&news) {
            ListenerNews::LocalFault(error) => {
                assert_eq!(error.code, Some(libc::EMFILE));
                break;
            }
            ListenerNews::Accepted { stream, .. } => in_hand.push(stream),
            other => panic!("{other:?}"),
        }
    }
    assert!(in_hand.len() < 2, "two descriptors came from nowhere");
    // Further attempts report nothing.
    let quiet = news.recv_timeout(Duration::from_millis(500));
    assert!(quiet.is_err(), "{quiet:?}");

    // One free descriptor accepts one connection. The next fault is reported again.
    descriptors.pop();
    in_hand.push(accepted(&news).0);
    assert!(matches!(next(&news), ListenerNews::LocalFault(_)));

    descriptors.clear();
    while in_hand.len() < clients.len() {
        in_hand.push(accepted(&news).0);
    }
    stop(listener);
}
