//! Where chain-gang differs from the reference node. Each test shows one row of `README.md`.

mod framing;
mod messages;
mod peer;

use std::collections::BTreeSet;

use bsv_p2p::wire::{Command, Message};
use test_support::raw_peer::{RawListener, RawPeer, frame, version};

use crate::codec::read_theirs;
use crate::dialer::Dialer;

/// Returns a dial of chain-gang, of which nothing has been read.
fn accept_dialer() -> (Dialer, RawPeer) {
    let listener = RawListener::new();
    let dialer = Dialer::dial(listener.address());
    (dialer, listener.accept())
}

/// Returns a dial of chain-gang that has been answered with `version` and `verack`.
#[track_caller]
fn connected_dialer() -> (Dialer, RawPeer) {
    let (dialer, mut raw) = accept_dialer();
    raw.send(version());
    raw.send(Message::Verack);
    dialer.wait_connected();
    // The last message of chain-gang's handshake.
    raw.expect("ping");
    (dialer, raw)
}

/// Returns a frame with a payload that may not belong to its command.
fn frame_of_payload(command: &'static str, payload: &[u8]) -> Vec<u8> {
    frame(&Message::Unknown {
        command: Command::new(command),
        payload: payload.to_vec().into(),
    })
}

/// Returns why chain-gang refuses a frame.
#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    read_theirs(bytes).expect_err("a refusal").to_string()
}

/// Returns the names of the test functions in a source file.
fn test_names(source: &str) -> impl Iterator<Item = &str> {
    let tests = source.split("#[test]\nfn ").skip(1);
    tests.map(|rest| rest.split('(').next().unwrap())
}

/// Returns the names in the first column of the tables of deviations.
fn row_names(readme: &str) -> impl Iterator<Item = &str> {
    let (_, tables) = readme.split_once("## Deviations").unwrap();
    let rows = tables.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap())
}

#[test]
fn readme_lists_each_deviation_with_its_test() {
    let sources = [
        include_str!("framing.rs"),
        include_str!("messages.rs"),
        include_str!("peer.rs"),
    ];
    let tests: BTreeSet<_> = sources.into_iter().flat_map(test_names).collect();
    let rows: BTreeSet<_> = row_names(include_str!("../README.md")).collect();
    assert_eq!(rows, tests);
}
