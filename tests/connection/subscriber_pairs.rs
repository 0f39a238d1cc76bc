//! Two programs of this library that flood each other, with subscribers of all kinds.

use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::ConnectionConfig;
use bsv_p2p::connection::{
    EventBus, EventReceiver, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
    RecvTimeoutError, SubscriptionOptions,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent, SubscriptionEndReason};
use bsv_p2p::wire::Command;
use test_support::raw_peer::{DEADLINE, RawListener};

use crate::harness::{config, number_of, numbered};

/// The number of messages in each direction.
const MESSAGES: u32 = 400;
const TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Takes nothing.
    Stuck,
    /// Takes one event after the other, each with a pause.
    Slow,
    /// Takes many events after a long pause.
    Bursty,
    /// Drops its receiver after a few events.
    Dropped,
}

const KINDS: [Kind; 4] = [Kind::Stuck, Kind::Slow, Kind::Bursty, Kind::Dropped];

/// A program with a subscriber of some kind, and one that takes everything at once.
struct Program {
    handle: PeerConnectionHandle,
    control: EventReceiver<ControlEvent>,
    fast: EventReceiver<BitcoinMessageEvent>,
    tested: Option<EventReceiver<BitcoinMessageEvent>>,
}

impl Program {
    fn new(spawn: impl FnOnce(PeerConnectionOptions) -> PeerConnectionHandle) -> Self {
        let config = ConnectionConfig {
            max_subscriber_backlog_bytes: 20_000,
            subscriber_timeout: TIMEOUT,
            ..config()
        };
        let bus = EventBus::new();
        let only_tests =
            |options: SubscriptionOptions| options.with_commands([const { Command::new("test") }]);
        let tested = SubscriptionOptions {
            capacity: 8,
            ..SubscriptionOptions::with_name("tested")
        };
        Self {
            control: bus.subscribe_control(),
            fast: bus.subscribe_messages_with(only_tests(SubscriptionOptions::default())),
            tested: Some(bus.subscribe_messages_with(only_tests(tested))),
            handle: spawn(PeerConnectionOptions {
                events: bus,
                ..PeerConnectionOptions::new(config)
            }),
        }
    }

    /// Sends and receives all messages. Returns the names of the control events.
    fn run(&mut self, kind: Kind) -> Vec<String> {
        let tested = self.tested.take().expect("it runs once");
        self.handle.wait_connected(DEADLINE).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..MESSAGES {
                    let message = numbered(number, 2000);
                    self.handle.send(message, DEADLINE).unwrap();
                }
            });
            scope.spawn(|| expect_all(&self.fast, |_| {}));
            scope.spawn(|| take(tested, kind));
        });
        // Requests work in both directions. The other program may still be busy.
        self.handle.ping(2 * DEADLINE).unwrap();
        self.control
            .try_iter()
            .map(|event| event.unwrap().to_string())
            .filter(|text| text.contains("subscription"))
            .collect()
    }
}

fn expect_all(receiver: &EventReceiver<BitcoinMessageEvent>, after: impl Fn(u32)) {
    for number in 0..MESSAGES {
        let event = receiver.recv_timeout(2 * DEADLINE).expect("a message");
        assert_eq!(number_of(&event.message), Some(number));
        after(number);
    }
}

fn take(tested: EventReceiver<BitcoinMessageEvent>, kind: Kind) {
    match kind {
        Kind::Stuck => {
            let deadline = Instant::now() + 2 * DEADLINE;
            while tested.end_reason().is_none() {
                assert!(Instant::now() < deadline, "the subscription did not end");
                thread::park_timeout(Duration::from_millis(10));
            }
            let ended = RecvTimeoutError::Ended(SubscriptionEndReason::TooSlow);
            assert_eq!(tested.recv_timeout(DEADLINE), Err(ended));
        }
        Kind::Slow => expect_all(&tested, |_| thread::park_timeout(Duration::from_millis(5))),
        Kind::Bursty => expect_all(&tested, |number| {
            if number % 100 == 0 {
                thread::park_timeout(TIMEOUT / 4);
            }
        }),
        Kind::Dropped => {
            for _ in 0..10 {
                tested.recv_timeout(DEADLINE).unwrap();
            }
        }
    }
}

/// Each program sees the other one only through its TCP connection, so that both can be in one
/// process.
#[test]
fn only_stuck_subscription_of_two_programs_ends() {
    thread::scope(|scope| {
        for one in KINDS {
            for other in KINDS {
                scope.spawn(move || {
                    let listener = RawListener::new();
                    let mut dialer = Program::new(|setup| {
                        PeerConnectionActor::spawn_outbound(listener.address(), setup).unwrap()
                    });
                    let tcp = listener.accept_tcp();
                    let mut accepted = Program::new(|setup| {
                        PeerConnectionActor::spawn_inbound(tcp, setup).unwrap()
                    });
                    let (first, second) = thread::scope(|scope| {
                        let first = scope.spawn(|| dialer.run(one));
                        let second = scope.spawn(|| accepted.run(other));
                        (first.join().unwrap(), second.join().unwrap())
                    });
                    for (kind, events) in [(one, first), (other, second)] {
                        let ended = "subscription tested ended: receiver was too slow";
                        match kind {
                            Kind::Stuck => assert_eq!(events, [ended]),
                            _ => assert_eq!(events, [""; 0], "{one:?} and {other:?}"),
                        }
                    }
                });
            }
        }
    });
}
