//! Two peers of this library, connected through the proxy.

use std::net::TcpListener;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use bsv_p2p::Error;
use bsv_p2p::connection::{
    ConnectionSlots, EventReceiver, PeerConnectionActor, PeerConnectionHandle,
};
use bsv_p2p::event::Event;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::Message;

use crate::fault_proxy::{FaultPlan, FaultProxy, Strike, Way};
use crate::messages::script;
use crate::seeds::{AT_ONCE, for_each_seed};
use crate::side::{self, News, Story};
use crate::table::{self, Role};

#[test]
fn faults_leave_both_peers_consistent() {
    for_each_seed(48, AT_ONCE, run);
}

/// One side of a run: its events, and the messages that it sends.
struct Side {
    handle: PeerConnectionHandle,
    events: EventReceiver<Event>,
    script: Vec<Message>,
}

/// Runs one seed. Returns a description of the run.
pub(crate) fn run(seed: u64, plan: &FaultPlan) -> String {
    let config = side::config(plan.harm());
    let slots = ConnectionSlots::new(2);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = {
        let plan = plan.clone();
        FaultProxy::start(listener.local_addr().unwrap(), move |_| plan.clone())
    };

    let (setup, events) = side::setup(&config, &slots);
    let dialer = Side {
        handle: PeerConnectionActor::spawn_outbound(proxy.address(), setup).unwrap(),
        events,
        script: script(2 * seed),
    };
    let (setup, events) = side::setup(&config, &slots);
    let target = match PeerConnectionActor::spawn_inbound(side::accept(&listener), setup) {
        Ok(handle) => Some(Side {
            handle,
            events,
            script: script(2 * seed + 1),
        }),
        // The connection was reset before it was accepted.
        Err(Error::Io { .. }) => None,
        Err(other) => panic!("{other}"),
    };
    let (dialer, target, commanded) = live(dialer, target);
    assert_eq!(slots.count(), 0, "a place is still taken");

    let strikes = proxy.strikes();
    assert!(strikes.len() <= 1, "{strikes:?}");
    let strike = strikes.first();
    let toward_target = strike.filter(|strike| strike.way == Way::ToTarget);
    let toward_dialer = strike.filter(|strike| strike.way == Way::ToDialer);
    let (role_of_dialer, role_of_target) = match toward_target {
        Some(_) => (Role::Sender, Role::Receiver),
        None => (Role::Receiver, Role::Sender),
    };
    let mut first_hand = table::check_end(strike, role_of_dialer, &dialer, commanded);
    if let Some(target) = &target {
        first_hand |= table::check_end(strike, role_of_target, target, false);
        table::check_messages(target, &script(2 * seed), toward_target, toward_dialer);
        table::check_messages(&dialer, &script(2 * seed + 1), toward_dialer, toward_target);
        assert!(first_hand, "nobody had a reason to begin with");
        if strike.is_none() {
            assert!(
                dialer.has_all && target.has_all,
                "something is missing without a fault"
            );
        }
    }
    let end = |story: &Story| side::name(story.end.as_ref().expect("an end"));
    let fault = strike.map_or("no fault".to_owned(), |Strike { fault, place, .. }| {
        format!("{} in {place:?}", fault.kind.name())
    });
    let target_end = target.as_ref().map_or("never began".to_owned(), end);
    match role_of_dialer {
        Role::Sender => format!("{fault}: {target_end}, sender {}", end(&dialer)),
        Role::Receiver => format!("{fault}: {}, sender {target_end}", end(&dialer)),
    }
}

/// Lets both sides send and receive until both have ended. Disconnects when all has arrived.
/// Returns the stories, and whether it disconnected.
fn live(dialer: Side, target: Option<Side>) -> (Story, Option<Story>, bool) {
    let complete = AtomicUsize::new(0);
    let on_complete = || {
        if complete.fetch_add(1, SeqCst) == 1 {
            dialer.handle.disconnect();
        }
    };
    let (told, target_told) = thread::scope(|scope| {
        let other = target
            .as_ref()
            .map(|target| scope.spawn(|| target.live(&on_complete)));
        (dialer.live(&on_complete), other.map(join))
    });
    let finish = |side: Side, (story, refused): (Story, Option<DisconnectReason>)| {
        side::check_end(&story, side.handle, &side.events, refused);
        story
    };
    let target_story = target
        .zip(target_told)
        .map(|(side, told)| finish(side, told));
    let commanded = complete.load(SeqCst) == 2;
    (finish(dialer, told), target_story, commanded)
}

impl Side {
    /// Sends its script once possible. Returns its story, and the error of a send, if any.
    fn live(&self, on_complete: &(dyn Fn() + Sync)) -> (Story, Option<DisconnectReason>) {
        thread::scope(|scope| {
            let mut sender = None;
            let story = side::listen(&self.events, |news| match news {
                News::Ready => {
                    sender = Some(scope.spawn(|| side::send(&self.handle, &self.script)));
                }
                News::HasAll => on_complete(),
                News::Message(_) => {}
                News::Second => panic!("a second stream"),
            });
            (story, sender.and_then(join))
        })
    }
}

/// Returns the result of a thread, or propagates its panic.
fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
