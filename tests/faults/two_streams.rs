//! Two of our peers with two streams between them, both through the proxy: a fault strikes one of the two connections, anywhere.
//!
//! Before the `streamack` it costs the second stream alone, unless it strikes the first; behind it the peer ends, on both sides. Neither leaves
//! anything behind.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use bsv_p2p::connection::{ConnectionSlots, PeerConnectionActor};
use bsv_p2p::wire::StreamType;

use crate::acceptor::Acceptor;
use crate::fault_proxy::{FaultKind, FaultPlan, FaultProxy, Strike, Way};
use crate::seeded::Seeded;
use crate::seeds::{AT_ONCE, for_each_seed};
use crate::side::{self, Story};
use crate::stream_script::script;
use crate::stream_side::{Side, Told};
use crate::stream_table::{self, Phase};
use crate::table::{self, Role};

/// How long a first connection that has stalled is left alone: pings go over the second one, and nobody may notice.
const UNNOTICED: Duration = Duration::from_secs(6);
/// How long it may take until it is clear whether there is a second stream.
const DECISION: Duration = Duration::from_secs(5);

#[test]
fn two_streams_are_one_peer_whatever_happens_to_either() {
    for_each_seed(64, AT_ONCE, run);
}

/// The plans of both connections: at most one of them does harm.
fn plans(seed: u64, drawn: &FaultPlan) -> [FaultPlan; 2] {
    let struck = Seeded(!seed).below(2);
    plans_striking(struck, seed, drawn)
}

/// The plans of both connections, where the first is not struck by what only somebody notices who talks over it: pings go over the second.
pub(crate) fn noticed_plans(seed: u64, drawn: &FaultPlan) -> [FaultPlan; 2] {
    let is_cut = |kind: &FaultKind| *kind != FaultKind::Stall && !kind.corrupts();
    let general = drawn.harm().is_none_or(is_cut) && Seeded(!seed).below(2) == 0;
    plans_striking(usize::from(!general), seed, drawn)
}

fn plans_striking(struck: usize, seed: u64, drawn: &FaultPlan) -> [FaultPlan; 2] {
    let mut harmless = FaultPlan::from_seed(!seed);
    for faults in [&mut harmless.to_target, &mut harmless.to_dialler] {
        faults.retain(|fault| fault.kind.is_harmless());
    }
    let mut plans = [harmless.clone(), harmless];
    plans[struck] = drawn.clone();
    // Question and answer are short.
    if struck == 1 && Seeded(seed).below(3) == 0 {
        let FaultPlan {
            to_target,
            to_dialler,
        } = &mut plans[1];
        for faults in [to_target, to_dialler] {
            faults.iter_mut().for_each(|fault| fault.at %= 80);
            faults.sort_by_key(|fault| fault.at);
        }
    }
    plans
}

/// Returns in words what happened.
pub(crate) fn run(seed: u64, plan: &FaultPlan) -> String {
    let mut config = side::config(plan.harm());
    config.session.multistreams = true;
    let slots = ConnectionSlots::new(4);
    let acceptor = Acceptor::new(&config, &slots);
    let target_events = acceptor.bus.subscribe();
    let late_events = target_events.clone();
    let plans = plans(seed, plan);
    let proxy = FaultProxy::start(acceptor.listener.local_addr().unwrap(), move |number| {
        plans.get(number).cloned().unwrap_or_default()
    });
    let (setup, events) = side::setup(&config, &slots);
    let memory = setup.memory.clone();
    let associations = setup.associations.clone();
    let stalls = plan.harm() == Some(&FaultKind::Stall);
    let dialler = Side {
        handle: PeerConnectionActor::spawn_outbound(proxy.address(), setup).unwrap(),
        events,
        script: script(2 * seed),
        decision: DECISION,
        gives_up: stalls.then_some(UNNOTICED),
    };
    let first = acceptor.spawn(side::accept(&acceptor.listener));
    let target = first.map(|handle| Side {
        handle,
        events: target_events,
        script: script(2 * seed + 1),
        // Nobody tells it that there will be none.
        decision: DECISION / 5,
        gives_up: None,
    });
    let (mut dialler, mut target, commanded) = live(&acceptor, dialler, target);
    let strikes = proxy.strikes();
    drop(proxy);
    acceptor.end_further();
    if let Some(target) = &mut target {
        late_events
            .try_iter()
            .for_each(|event| target.on_stranger(event));
    }

    assert!(strikes.len() <= 1, "{strikes:?}");
    let ends = check(strikes.first(), &dialler, target.as_ref(), commanded);
    // What the events held is given back with them.
    dialler.story.messages.clear();
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

/// Lets both sides live until both have ended; ends it when everything has come. Returns what was told, and whether it did.
fn live(acceptor: &Acceptor, dialler: Side, target: Option<Side>) -> (Told, Option<Told>, bool) {
    let complete = AtomicUsize::new(0);
    let on_complete = || {
        if complete.fetch_add(1, SeqCst) == 1 {
            dialler.handle.disconnect();
        }
    };
    let (dialler_told, target_told) = thread::scope(|scope| {
        let stops = acceptor.stops();
        let accepting = scope.spawn(|| acceptor.run());
        let on_complete = &on_complete;
        let other = target
            .as_ref()
            .map(|target| scope.spawn(move || target.live(on_complete)));
        let told = dialler.live(on_complete);
        let other = other.map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        drop(stops);
        accepting
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic));
        (told, other)
    });
    let commanded = complete.load(SeqCst) == 2;
    drop(target);
    drop(dialler);
    (dialler_told, target_told, commanded)
}

/// Checks all that was told. Returns in words what happened.
fn check(
    strike: Option<&Strike>,
    dialler: &Told,
    target: Option<&Told>,
    commanded: bool,
) -> String {
    let phase = Phase::of(strike);
    let toward_target = strike.filter(|strike| strike.way == Way::ToTarget);
    let toward_dialler = strike.filter(|strike| strike.way == Way::ToDialler);
    let (role_of_dialler, role_of_target) = match toward_target {
        Some(_) => (Role::Sender, Role::Receiver),
        None => (Role::Receiver, Role::Sender),
    };
    let stalled = strike.is_some_and(|strike| strike.fault.kind == FaultKind::Stall);
    if dialler.gave_up {
        assert!(
            phase == Phase::General && stalled,
            "{}",
            dialler.story.summary()
        );
    }
    let ends = |story: &Story, role, commanded| match phase {
        // One stream is as good as before.
        Phase::Question => table::check_end(None, role, story, commanded),
        _ => table::check_end(strike, role, story, commanded),
    };
    let end = |told: &Told| side::name(told.story.end.as_ref().expect("an end"));
    let mut first_hand = ends(
        &dialler.story,
        role_of_dialler,
        commanded || dialler.gave_up,
    );
    if let Some(target) = target {
        first_hand |= ends(&target.story, role_of_target, false);
        // Whoever misses the answer closes what the other side takes for a stream.
        assert!(
            first_hand || phase == Phase::Answer,
            "nobody had a reason: {}; {}",
            dialler.story.summary(),
            target.story.summary()
        );
        stream_table::check_second(phase, strike, dialler, target);
        stream_table::check_messages(&target.story, dialler, toward_target, toward_dialler);
        stream_table::check_messages(&dialler.story, target, toward_dialler, toward_target);
        if matches!(phase, Phase::Nothing | Phase::Question) {
            assert!(commanded, "an end without a fault that brings one");
            assert_eq!((dialler.unanswered, target.unanswered), (0, 0), "answers");
        }
    }
    let fault = strike.map_or("no fault".to_owned(), |Strike { fault, place, .. }| {
        let stream = [StreamType::General, StreamType::Data1][strike.map_or(0, |s| s.connection)];
        format!("{phase:?} {stream} {} in {place:?}", fault.kind.name())
    });
    let target_end = target.map_or("never began".to_owned(), end);
    format!("{fault}: dialler {}, target {target_end}", end(dialler))
}
