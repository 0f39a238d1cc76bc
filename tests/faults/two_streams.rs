//! Two peers of this library with two streams through the proxy. A fault strikes one of the two
//! connections at any byte.
//!
//! Before the `streamack`, the fault ends only the second stream, unless it strikes the first one.
//! After the `streamack`, it ends the peer on both sides. Neither case leaves resources in use.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::{ConnectionSlots, PeerConnectionActor};
use bsv_p2p::wire::StreamType;
use test_support::SeededRandom;

use crate::acceptor::Acceptor;
use crate::fault_proxy::{FaultKind, FaultPlan, FaultProxy, Strike, Way};
use crate::seeds::{AT_ONCE, for_each_seed};
use crate::side::{self, Story};
use crate::stream_script::script;
use crate::stream_side::{Side, Told};
use crate::stream_table::{self, Phase};
use crate::table::{self, Role};

/// The time after which the dialer disconnects if the first connection may stall: pings use the
/// second one, so the stall may stay unnoticed. A stall of the second one always ends the peer.
const UNNOTICED: Duration = Duration::from_secs(6);
/// The time limit for knowing whether there is a second stream.
const DECISION: Duration = Duration::from_secs(5);

#[test]
fn faults_leave_two_streams_one_peer() {
    for_each_seed(64, AT_ONCE, run);
}

/// Returns the plans of both connections: at most one of them is harmful.
fn plans(seed: u64, drawn: &FaultPlan) -> [FaultPlan; 2] {
    let struck = SeededRandom::new(!seed).below(2);
    plans_striking(struck, seed, drawn)
}

/// Returns the plans of both connections, without faults on the first one that only its traffic
/// would reveal: pings use the second one.
pub(crate) fn noticed_plans(seed: u64, drawn: &FaultPlan) -> [FaultPlan; 2] {
    let is_cut = |kind: &FaultKind| *kind != FaultKind::Stall && !kind.corrupts();
    let general = drawn.harm().is_none_or(is_cut) && SeededRandom::new(!seed).below(2) == 0;
    plans_striking(usize::from(!general), seed, drawn)
}

fn plans_striking(struck: usize, seed: u64, drawn: &FaultPlan) -> [FaultPlan; 2] {
    let mut harmless = FaultPlan::from_seed(!seed);
    for faults in [&mut harmless.to_target, &mut harmless.to_dialer] {
        faults.retain(|fault| fault.kind.is_harmless());
    }
    let mut plans = [harmless.clone(), harmless];
    plans[struck] = drawn.clone();
    // Request and response are short.
    if struck == 1 && SeededRandom::new(seed).below(3) == 0 {
        let FaultPlan {
            to_target,
            to_dialer,
        } = &mut plans[1];
        for faults in [to_target, to_dialer] {
            faults.iter_mut().for_each(|fault| fault.at %= 80);
            faults.sort_by_key(|fault| fault.at);
        }
    }
    plans
}

/// Runs one seed. Returns a description of the run.
pub(crate) fn run(seed: u64, plan: &FaultPlan) -> String {
    let mut config = side::config(plan.harm());
    config.session.multistreams = true;
    let slots = ConnectionSlots::new(4);
    let acceptor = Acceptor::new(&config, &slots);
    let target_events = acceptor.bus.subscribe();
    let late_events = target_events.clone();
    let plans = plans(seed, plan);
    let may_stay_unnoticed = plans[0].harm() == Some(&FaultKind::Stall);
    let proxy = FaultProxy::start(acceptor.listener.local_addr().unwrap(), move |number| {
        plans.get(number).cloned().unwrap_or_default()
    });
    let (setup, events) = side::setup(&config, &slots);
    let memory = setup.memory.clone();
    let associations = setup.associations.clone();
    let dialer = Side {
        handle: PeerConnectionActor::spawn_outbound(proxy.address(), setup).unwrap(),
        events,
        script: script(2 * seed),
        decision: DECISION,
        gives_up: may_stay_unnoticed.then_some(UNNOTICED),
    };
    let first = acceptor.spawn(side::accept(&acceptor.listener));
    let target = first.map(|handle| Side {
        handle,
        events: target_events,
        script: script(2 * seed + 1),
        // No event reports that there will be no stream.
        decision: DECISION / 5,
        gives_up: None,
    });
    let (mut dialer, mut target, commanded) = live(&acceptor, dialer, target);
    let strikes = proxy.strikes();
    drop(proxy);
    acceptor.end_further();
    if let Some(target) = &mut target {
        late_events
            .try_iter()
            .map(Result::unwrap)
            .for_each(|event| target.on_stranger(event));
    }

    assert!(strikes.len() <= 1, "{strikes:?}");
    let ends = check(strikes.first(), &dialer, target.as_ref(), commanded);
    // Releases the payloads of the events.
    dialer.story.messages.clear();
    if let Some(target) = &mut target {
        target.story.messages.clear();
    }
    assert_eq!(slots.count(), 0, "a place is still taken");
    for memory in [&memory, &acceptor.memory] {
        assert_eq!(memory.used(), 0, "memory is still held");
    }
    for associations in [&associations, &acceptor.associations] {
        assert!(associations.is_empty(), "{associations:?}");
    }
    ends
}

/// Runs both sides until they end, and disconnects when all has arrived. Returns their results, and
/// whether it disconnected.
fn live(acceptor: &Acceptor, dialer: Side, target: Option<Side>) -> (Told, Option<Told>, bool) {
    let complete = AtomicUsize::new(0);
    let on_complete = || {
        if complete.fetch_add(1, SeqCst) == 1 {
            dialer.handle.disconnect();
        }
    };
    let (dialer_told, target_told) = thread::scope(|scope| {
        let stops = acceptor.stops();
        let accepting = scope.spawn(|| acceptor.run());
        let on_complete = &on_complete;
        let other = target
            .as_ref()
            .map(|target| scope.spawn(move || target.live(on_complete)));
        let told = dialer.live(on_complete);
        let other = other.map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        drop(stops);
        accepting
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
        (told, other)
    });
    let commanded = complete.load(SeqCst) == 2;
    drop(target);
    drop(dialer);
    (dialer_told, target_told, commanded)
}

/// Checks all results. Returns a description of the run.
fn check(strike: Option<&Strike>, dialer: &Told, target: Option<&Told>, commanded: bool) -> String {
    let phase = Phase::of(strike);
    let toward_target = strike.filter(|strike| strike.way == Way::ToTarget);
    let toward_dialer = strike.filter(|strike| strike.way == Way::ToDialer);
    let (role_of_dialer, role_of_target) = match toward_target {
        Some(_) => (Role::Sender, Role::Receiver),
        None => (Role::Receiver, Role::Sender),
    };
    let stalled = strike.is_some_and(|strike| strike.fault.kind == FaultKind::Stall);
    if dialer.gave_up {
        assert!(
            phase == Phase::General && stalled,
            "{}",
            dialer.story.summary()
        );
    }
    let ends = |story: &Story, role, commanded| match phase {
        // A missing second stream makes no difference.
        Phase::Question => table::check_end(None, role, story, commanded),
        _ => table::check_end(strike, role, story, commanded),
    };
    let end = |told: &Told| side::name(told.story.end.as_ref().expect("an end"));
    let mut first_hand = ends(&dialer.story, role_of_dialer, commanded || dialer.gave_up);
    if let Some(target) = target {
        first_hand |= ends(&target.story, role_of_target, false);
        // The side that misses the `streamack` closes the connection that is a stream for the other
        // side.
        assert!(
            first_hand || phase == Phase::Answer,
            "nobody had a reason: {}; {}",
            dialer.story.summary(),
            target.story.summary()
        );
        stream_table::check_second(phase, strike, dialer, target);
        stream_table::check_messages(&target.story, dialer, toward_target, toward_dialer);
        stream_table::check_messages(&dialer.story, target, toward_dialer, toward_target);
        if matches!(phase, Phase::Nothing | Phase::Question) {
            assert!(commanded, "an end without a fault that brings one");
            assert_eq!((dialer.unanswered, target.unanswered), (0, 0), "answers");
        }
    }
    let fault = strike.map_or("no fault".to_owned(), |Strike { fault, place, .. }| {
        let stream = [StreamType::General, StreamType::Data1][strike.map_or(0, |s| s.connection)];
        format!("{phase:?} {stream} {} in {place:?}", fault.kind.name())
    });
    let target_end = target.map_or("never began".to_owned(), end);
    format!("{fault}: dialer {}, target {target_end}", end(dialer))
}
