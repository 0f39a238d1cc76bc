//! The handshake of two sessions, in every order in which messages can arrive.

use bsv_p2p::session::{ConnectionState, Misbehavior, SessionEvent};

use crate::pair::{DIALLER, LISTENER, Pair};

/// Tries every schedule of two wires that keep their order, each from the start.
fn for_each_interleaving(mut check: impl FnMut(&Pair)) -> usize {
    let mut schedules = 0;
    let mut open: Vec<Vec<usize>> = vec![vec![]];
    while let Some(schedule) = open.pop() {
        let mut pair = Pair::new();
        for side in &schedule {
            assert!(pair.deliver(*side));
        }
        let ways: Vec<usize> = [DIALLER, LISTENER]
            .into_iter()
            .filter(|side| pair.flying(*side) > 0)
            .collect();
        if ways.is_empty() {
            schedules += 1;
            check(&pair);
        }
        for side in ways {
            open.push([&schedule[..], &[side]].concat());
        }
    }
    schedules
}

#[test]
fn two_sessions_complete_their_handshake_in_every_interleaving() {
    let schedules = for_each_interleaving(|pair| {
        for side in [DIALLER, LISTENER] {
            assert_eq!(pair.sides[side].session.state(), ConnectionState::Connected);
            assert_eq!(pair.completions(side), 1);
            assert_eq!(pair.closed[side], None);
            assert_eq!(
                pair.sent_names(side),
                [
                    "version",
                    "verack",
                    "protoconf",
                    "sendheaders",
                    "ping",
                    "pong"
                ]
            );
            let session = &pair.sides[side].session;
            assert_eq!(session.peer_max_payload(), 2_097_152);
            assert!(session.wants_headers());
            assert!(session.round_trip().last.is_some());
            let events = &pair.events[side];
            assert!(
                events
                    .iter()
                    .all(|event| !matches!(event, SessionEvent::Misbehavior { .. })),
                "{events:?}"
            );
        }
    });
    assert!(schedules > 10, "only {schedules} interleavings were tried");
}

#[test]
fn handshake_completes_in_any_message_order() {
    // Unlike TCP, this delivers version, verack and protoconf in any order.
    let shaking = |pair: &Pair, side: usize| -> Vec<usize> {
        let reorderable = ["version", "verack", "protoconf"];
        let belongs = |at: &usize| reorderable.contains(&pair.command(side, *at).name());
        (0..pair.flying(side)).filter(belongs).collect()
    };
    let mut schedules = 0;
    let mut early_veracks = 0;
    let mut open: Vec<Vec<(usize, usize)>> = vec![vec![]];
    while let Some(schedule) = open.pop() {
        let mut pair = Pair::new();
        for (side, at) in &schedule {
            pair.deliver_at(*side, *at);
        }
        let before = open.len();
        for side in [DIALLER, LISTENER] {
            for at in shaking(&pair, side) {
                open.push([&schedule[..], &[(side, at)]].concat());
            }
        }
        if open.len() > before {
            continue;
        }
        schedules += 1;
        pair.settle();
        for side in [DIALLER, LISTENER] {
            assert_eq!(pair.sides[side].session.state(), ConnectionState::Connected);
            assert_eq!(pair.completions(side), 1);
            assert_eq!(
                pair.sent_names(side)[..3],
                ["version", "verack", "protoconf"]
            );
            let early = |event: &SessionEvent| {
                matches!(
                    event,
                    SessionEvent::Misbehavior {
                        misbehavior: Misbehavior::BeforeVersion { command },
                        ..
                    } if command.name() == "verack"
                )
            };
            early_veracks += usize::from(pair.events[side].iter().any(early));
        }
    }
    assert!(schedules > 20, "only {schedules} orders were tried");
    assert!(early_veracks > 0);
}
