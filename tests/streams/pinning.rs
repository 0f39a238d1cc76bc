//! Peers of one address that hold payload memory with payloads that never complete.

use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::peers::PeerId;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::{ConnectionConfig, PayloadMemory};
use test_support::raw_peer::{DEADLINE, RawPeer, header_claiming, large_block, wait_until};

use crate::harness::{Owner, Peer, config};

const MEBIBYTE: usize = 1024 * 1024;

/// The number of connections that one address may have by default.
const ATTACKERS: usize = 8;

/// Creates an owner whose connections share `memory` bytes and receive payloads of two mebibytes.
fn owner(memory: usize) -> Owner {
    let mut config: ConnectionConfig = config();
    config.session.limits.buffered = 2 * MEBIBYTE as u64;
    config.payload_memory_timeout = Duration::from_millis(500);
    let mut owner = Owner::new(config);
    owner.memory = PayloadMemory::new(memory as u64);
    owner
}

/// The length of an incomplete payload.
const LEN: usize = 2 * MEBIBYTE - 8;

/// Sends a payload except for its end. Its receiver has reserved memory for the end as well.
fn send_half(raw: &RawPeer, command: &'static str) {
    raw.send_bytes(&header_claiming(command, LEN as u32));
    raw.send_bytes(&vec![0; LEN - 100_000]);
}

impl Peer {
    fn streams(&self) -> impl Iterator<Item = &RawPeer> {
        std::iter::once(&self.general).chain(&self.data1)
    }

    /// Asserts that the peer can send a requested block.
    #[track_caller]
    fn serves(&mut self, block_len: usize) {
        let block = large_block(block_len);
        std::thread::scope(|scope| {
            let handle = &self.handle;
            let hash = block.hash();
            let answer = scope.spawn(move || handle.block(hash, DEADLINE));
            let raw = self.data1.as_mut().unwrap_or(&mut self.general);
            raw.expect("getdata");
            raw.send(block.clone());
            assert_eq!(answer.join().unwrap(), Ok(block));
        });
    }
}

/// Asserts that unrequested payloads with these commands leave the memory to honest peers.
#[track_caller]
fn assert_attack_fails(commands: &[&'static str], has_two_streams: bool) {
    let peer = |owner: &Owner| {
        if has_two_streams {
            owner.peer_with_two()
        } else {
            owner.peer()
        }
    };
    let owner = owner(8 * MEBIBYTE);
    let mut honest = peer(&owner);
    let attackers: Vec<Peer> = (0..ATTACKERS).map(|_| peer(&owner)).collect();
    let streams = attackers.iter().flat_map(Peer::streams);
    for (raw, command) in streams.zip(commands.iter().cycle()) {
        send_half(raw, command);
    }
    honest.is_well();
    honest.serves(2 * MEBIBYTE - 1000);
    let mut accepted = peer(&owner);
    accepted.is_well();
    honest.is_well();
    assert_eq!(ends(&owner), []);
}

#[test]
fn unrequested_getblocktxn_takes_no_memory() {
    assert_attack_fails(&["getblocktxn"], false);
    assert_attack_fails(&["getblocktxn"], true);
}

#[test]
fn unrequested_datareftx_takes_no_memory() {
    assert_attack_fails(&["datareftx"], false);
    assert_attack_fails(&["datareftx"], true);
}

#[test]
fn mixed_unrequested_payloads_take_no_memory() {
    let commands = [
        "getblocktxn",
        "datareftx",
        "tx",
        "block",
        "cmpctblock",
        "blocktxn",
        "hdrsen",
        "merkleblock",
        "notfound",
        "headers",
        "dsdetected",
        "version",
        "getheaders",
        "addr",
        "reject",
    ];
    assert_attack_fails(&commands, false);
    assert_attack_fails(&commands, true);
}

/// An `inv` has no lower limit than the attackers use. Two of them fill the memory for all peers,
/// and the third one fills half of what a single peer may use in addition.
#[test]
fn stalled_payloads_end_before_honest_peer() {
    let owner = owner(8 * MEBIBYTE);
    let mut honest = owner.peer_with_two();
    let attackers = [owner.peer_with_two(), owner.peer_with_two(), owner.peer()];
    for (raw, number) in attackers.iter().flat_map(Peer::streams).zip(1..) {
        send_half(raw, "inv");
        let all = (number * LEN) as u64;
        wait_until("its memory is reserved", || owner.memory.used() == all);
    }
    // Small messages and the first mebibyte of each peer need none of that memory.
    let mut accepted = owner.peer();
    accepted.is_well();
    accepted.serves(MEBIBYTE - 1000);
    honest.is_well();
    assert_eq!(ends(&owner), []);
    honest.serves(2 * MEBIBYTE - 1000);
    honest.is_well();
    accepted.is_well();
    let ends = ends(&owner);
    let [(peer_id, reason)] = &ends[..] else {
        panic!("one peer should have ended: {ends:?}");
    };
    assert_eq!(*reason, DisconnectReason::PayloadMemoryExhausted);
    let greatest = attackers[..2]
        .iter()
        .map(|attacker| attacker.handle.peer_id());
    assert!(greatest.into_iter().any(|id| id == *peer_id), "{peer_id}");
}

/// Returns the connections that have ended.
fn ends(owner: &Owner) -> Vec<(PeerId, DisconnectReason)> {
    let end = |event| match event {
        Ok(ControlEvent::ConnectionLost {
            peer_id, reason, ..
        }) => Some((peer_id, reason)),
        _ => None,
    };
    owner.control.try_iter().filter_map(end).collect()
}
