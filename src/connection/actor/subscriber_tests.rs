//! Subscribers that send requests: reading continues while a request is open.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::{PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions};
use crate::connection::{ConnectionConfig, EventBus, EventReceiver, SubscriptionOptions};
use crate::event::{BitcoinMessageEvent, ControlEvent, Event};
use crate::network::Network;
use crate::wire::{Command, Message, Ping};

const TEST: Command = Command::new("test");
const DEADLINE: Duration = Duration::from_secs(10);

#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A request without a response. It is open until it is dropped.
struct OpenRequest<'a>(&'a PeerConnectionHandle, u64);

impl<'a> OpenRequest<'a> {
    fn new(handle: &'a PeerConnectionHandle) -> Self {
        let asked = handle
            .peer
            .current()
            .requests
            .with(|table| table.open_ping(Ping::new(0)));
        Self(handle, asked.expect("there is room").0.id)
    }

    /// Sends another request to the peer and waits for its response.
    fn ask(&self) {
        self.0.ping(DEADLINE).unwrap();
    }
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        self.0
            .peer
            .current()
            .requests
            .with(|table| table.cancel(self.1));
    }
}

/// Returns options for a queue of one message of [`flood`].
fn narrow() -> SubscriptionOptions {
    SubscriptionOptions {
        capacity: 1,
        ..SubscriptionOptions::default().with_commands([TEST])
    }
}

/// Creates two connected peers: the tested one, on `bus`, and one that sends test messages to it.
fn pair(bus: &EventBus) -> (PeerConnectionHandle, PeerConnectionHandle) {
    let config = ConnectionConfig {
        max_subscriber_backlog_bytes: 20_000,
        subscriber_timeout: 100 * DEADLINE,
        ..ConnectionConfig::new(Network::Regtest)
    };
    let options = PeerConnectionOptions {
        events: bus.clone(),
        ..PeerConnectionOptions::new(config.clone())
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tested = PeerConnectionActor::spawn_outbound(address, options).unwrap();
    let (tcp, _) = listener.accept().unwrap();
    let sender =
        PeerConnectionActor::spawn_inbound(tcp, PeerConnectionOptions::new(config)).unwrap();
    wait_until("both have shaken hands and answered the first ping", || {
        let both = [&tested, &sender];
        both.iter().all(|handle| handle.round_trip().last.is_some())
    });
    (tested, sender)
}

fn flood(sender: &PeerConnectionHandle, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut payload = number.to_le_bytes().to_vec();
        payload.resize(1000, 0);
        let message = Message::Unknown {
            command: TEST,
            payload: payload.into(),
        };
        sender.send(&message, DEADLINE).unwrap();
    }
}

fn number_of(event: &BitcoinMessageEvent) -> Option<u32> {
    match &*event.message {
        Message::Unknown { payload, .. } => Some(u32::from_le_bytes(*payload.first_chunk()?)),
        _ => None,
    }
}

/// Receives events until `sent` messages were received or reported as missed.
fn taken_and_missed(
    messages: &EventReceiver<BitcoinMessageEvent>,
    control: &EventReceiver<ControlEvent>,
    sent: u32,
) -> (Vec<u32>, u64) {
    let (mut taken, mut missed) = (Vec::new(), 0);
    let deadline = Instant::now() + DEADLINE;
    while taken.len() as u64 + missed < u64::from(sent) {
        assert!(Instant::now() < deadline, "{} and {missed}", taken.len());
        crossbeam_channel::select! {
            recv(messages.as_receiver()) -> event => taken.extend(number_of(&messages.with_end_reason(event).unwrap())),
            recv(control.as_receiver()) -> event => if let ControlEvent::Lagged { missed: more, .. } = control.with_end_reason(event).unwrap() {
                missed += more;
            },
            default(DEADLINE) => panic!("nothing comes"),
        }
    }
    (taken, missed)
}

#[test]
fn request_during_pause_resumes_reads_dropping_newest() {
    const SENT: u32 = 2000;
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let messages = bus.subscribe_messages_with(narrow());
    let (tested, sender) = pair(&bus);
    let before = tested.traffic().messages_received;
    flood(&sender, 0..SENT);
    // One message costs no credit. Further ones are queued while they have less than 20,000 bytes,
    // each with 512 bytes of overhead.
    wait_until("reading has stopped", || {
        tested.traffic().messages_received == before + 1 + 20_000_u64.div_ceil(1512)
    });
    let queued = messages.len();
    let request = OpenRequest::new(&tested);
    request.ask();
    assert_eq!(messages.len(), queued, "nobody has taken anything");
    drop(request);
    let (taken, missed) = taken_and_missed(&messages, &control, SENT);
    assert!(missed > 0);
    // The oldest messages were kept, without gaps.
    let kept = taken.len() as u32;
    assert_eq!(taken, (0..kept).collect::<Vec<_>>());
    // The connection continues as before.
    flood(&sender, SENT..SENT + 100);
    let (taken, missed) = taken_and_missed(&messages, &control, 100);
    assert_eq!(missed, 0);
    assert_eq!(taken, (SENT..SENT + 100).collect::<Vec<_>>());
}

#[test]
fn combined_receiver_learns_where_events_were_dropped() {
    const SENT: u32 = 2000;
    let bus = EventBus::new();
    let both = bus.subscribe_with(narrow());
    let (tested, sender) = pair(&bus);
    let request = OpenRequest::new(&tested);
    flood(&sender, 0..SENT);
    request.ask();
    drop(request);
    let (mut expected, mut missed) = (0, 0);
    while expected < SENT {
        match both.recv_timeout(DEADLINE).expect("an event") {
            Event::Message(event) => {
                assert_eq!(number_of(&event), Some(expected));
                expected += 1;
            }
            Event::Control(ControlEvent::Lagged { missed: more, .. }) => {
                expected += more as u32;
                missed += more;
            }
            Event::Control(_) => {}
        }
    }
    assert!(missed > 0);
}

#[test]
fn requests_inside_message_loop_do_not_deadlock() {
    const SENT: u32 = 300;
    let bus = EventBus::new();
    let control = bus.subscribe_control();
    let messages = bus.subscribe_messages_with(narrow());
    let (tested, sender) = pair(&bus);
    flood(&sender, 0..SENT);
    // The queue holds the first ten, even if later ones are dropped.
    for number in 0..10 {
        let event = messages.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(number_of(&event), Some(number));
        OpenRequest::new(&tested).ask();
    }
    let (taken, missed) = taken_and_missed(&messages, &control, SENT - 10);
    assert_eq!(taken.len() as u64 + missed, u64::from(SENT) - 10);
}
