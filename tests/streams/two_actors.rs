//! Two actors of this library: the stream of each message, and transparency for the application.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    CommandTraffic, ConnectionStatistics, EventBus, EventReceiver, PeerConnectionActor,
    PeerConnectionHandle, PeerConnectionOptions, QueueStats, RestartConfig, SubscriptionOptions,
    Supervisor,
};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, Command, Encode, GetData, Inv, Inventory, Message, NotFound,
    StreamPolicy, StreamType, Txid,
};
use bsv_p2p::{ConnectionConfig, Error, Network};
use test_support::own_process::{run_in_own_process, threads_and_descriptors};
use test_support::raw_peer::{DEADLINE, wait_until};

use crate::harness::{Owner, config, message, wait_for};
use crate::samples::block;

/// Two ends of one peer with two streams.
struct TwoStreamPair {
    owner: Owner,
    dialer: PeerConnectionHandle,
    control: EventReceiver<ControlEvent>,
    messages: EventReceiver<BitcoinMessageEvent>,
    dialed: PeerConnectionHandle,
}

impl TwoStreamPair {
    #[track_caller]
    fn new(config: ConnectionConfig) -> Self {
        Self::with(config.clone(), config)
    }

    /// Creates a dialed and a dialing actor, each with its own configuration.
    #[track_caller]
    fn with(dialed: ConnectionConfig, config: ConnectionConfig) -> Self {
        let owner = Owner::new(dialed);
        let setup = PeerConnectionOptions::new(config);
        let control = setup.events.subscribe_control();
        let messages = setup.events.subscribe_messages();
        let dialer = PeerConnectionActor::spawn_outbound(owner.address(), setup).unwrap();
        let dialed = owner.accept().connection();
        owner.accept().socket.join();
        let opened = |event: &ControlEvent| matches!(event, ControlEvent::StreamOpened { .. });
        wait_for(&control, "the second stream", opened);
        owner.wait_for("the second stream", opened);
        // Messages of every handshake are consumed here.
        for messages in [&messages, &owner.messages] {
            let first = messages.recv_timeout(DEADLINE).unwrap();
            assert_eq!(*first.message, Message::SendHeaders);
        }
        Self {
            owner,
            dialer,
            control,
            messages,
            dialed,
        }
    }

    /// Answers requests of the dialed side for this block, until `done`. Like a node, it reports
    /// missing objects other than blocks by `notfound`.
    fn serve(&self, block: &Block, done: &AtomicBool) {
        while !done.load(SeqCst) {
            let Ok(event) = self.owner.messages.recv_timeout(Duration::from_millis(5)) else {
                continue;
            };
            let Message::GetData(question) = &*event.message else {
                continue;
            };
            let mut missing = Vec::new();
            for entry in &question.inventory {
                match entry {
                    Inventory::Block(hash) if *hash == block.hash() => {
                        let sent = self.dialed.send(block.clone(), DEADLINE);
                        sent.expect("the block is taken");
                    }
                    Inventory::Block(_) => {}
                    entry => missing.push(*entry),
                }
            }
            let sent = self.dialed.send(NotFound::from(missing), DEADLINE);
            sent.expect("the answer is taken");
        }
    }
}

/// Ends the serving thread, even if a test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Returns how many messages with this command arrived on this stream.
fn came(numbers: &ConnectionStatistics, stream: StreamType, name: &'static str) -> u64 {
    let mut streams = numbers.streams.iter();
    let commands = streams
        .find(|one| one.stream == stream)
        .map_or(&[][..], |one| &one.commands);
    let named = |one: &&CommandTraffic| one.command == Command::new(name);
    commands
        .iter()
        .find(named)
        .map_or(0, |one| one.traffic.messages_received)
}

#[test]
fn messages_use_the_stream_of_the_policy() {
    let two = TwoStreamPair::new(config());
    let block = block(3, 50);
    let of_data1: [Message; 3] = [
        block.clone().into(),
        Inv::from(vec![Inventory::Block(block.hash())]).into(),
        GetData::from(vec![Inventory::Block(block.hash())]).into(),
    ];
    let of_general: [Message; 3] = [
        message(1),
        Inv::from(vec![Inventory::Tx(Txid([1; 32]))]).into(),
        Message::GetAddr,
    ];
    for (handle, messages, other) in [
        (&two.dialer, &two.owner.messages, &two.dialed),
        (&two.dialed, &two.messages, &two.dialer),
    ] {
        for (stream, sent) in [
            (StreamType::Data1, &of_data1),
            (StreamType::General, &of_general),
        ] {
            for message in sent {
                let before = other.statistics();
                handle.send(message, DEADLINE).unwrap();
                let event = messages.recv_timeout(DEADLINE).unwrap();
                assert_eq!(*event.message, *message);
                let after = other.statistics();
                let name = message.command();
                let more = |stream| {
                    let count = |numbers| {
                        let names = ["block", "inv", "getdata", "getaddr"];
                        let known = names.into_iter().find(|one| command_is(message, one));
                        came(numbers, stream, known.unwrap_or("*other*"))
                    };
                    count(&after) - count(&before)
                };
                let second = u64::from(stream == StreamType::Data1);
                assert_eq!(more(StreamType::Data1), second, "{name}");
                assert_eq!(more(StreamType::General), 1 - second, "{name}");
            }
        }
        handle.ping(DEADLINE).unwrap();
        let numbers = handle.statistics();
        assert!(came(&numbers, StreamType::Data1, "pong") > 0);
        assert_eq!(numbers.stream_policy, Some(StreamPolicy::BlockPriority));
        let both = numbers.streams.iter().map(|one| one.traffic.bytes_received);
        assert_eq!(both.sum::<u64>(), numbers.traffic.bytes_received);
        handle.flush(DEADLINE).unwrap();
        assert_eq!(handle.send_queue(), QueueStats::default());
    }
}

fn command_is(message: &Message, name: &str) -> bool {
    message.command().name() == name
}

#[test]
fn slow_block_reader_delays_neither_pings_nor_transactions() {
    // Pings of the reader wait behind the unread block.
    let mut impatient = config();
    impatient.session.ping_interval = Duration::from_millis(100);
    impatient.session.ping_timeout = Duration::from_millis(400);
    let mut serving = config();
    serving.max_send_queue_bytes = 64 * 1024 * 1024;
    let two = TwoStreamPair::with(serving, impatient);
    let block = block(200, 100_000);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| two.serve(&block, &done));
        let _done = Done(&done);
        let mut reader = two.dialer.block_reader(block.hash(), DEADLINE).unwrap();
        let mut chunk = vec![0; 1024 * 1024];
        let began = Instant::now();
        // Five times the ping timeout. The reads are so slow that nothing moves for longer than the
        // timeout.
        for number in 0..8 {
            reader.read_exact(&mut chunk[..100_000]).unwrap();
            two.dialed.send(message(number), DEADLINE).unwrap();
            let event = two.messages.recv_timeout(DEADLINE).unwrap();
            assert_eq!(*event.message, message(number));
            let next = began + Duration::from_millis(250) * (u32::from(number) + 1);
            while let Some(left) = next.checked_duration_since(Instant::now()) {
                // Other messages must not arrive in this time.
                let other = two.messages.recv_timeout(left);
                assert!(other.is_err(), "{other:?}");
            }
        }
        let mut left = Vec::new();
        reader.read_to_end(&mut left).unwrap();
        assert_eq!(left.len() + 800_000, block.encoded_len() as usize);
        two.dialer.ping(DEADLINE).unwrap();
    });
    assert_eq!(two.control.try_iter().count(), 0);
}

/// The `notfound` arrives on the other stream.
#[test]
fn missing_block_is_not_found_across_streams() {
    let two = TwoStreamPair::new(config());
    let block = block(100, 50_000);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| two.serve(&block, &done));
        let _done = Done(&done);
        for number in 0..20 {
            let unknown = two.dialer.block(BlockHash([number; 32]), DEADLINE);
            assert!(
                matches!(unknown, Err(Error::NotFound { .. })),
                "{unknown:?}"
            );
            // A large block is overtaken by its end marker, and arrives nevertheless.
            let found = two.dialer.block(block.hash(), DEADLINE).unwrap();
            assert_eq!(found.hash(), block.hash());
        }
    });
}

#[test]
fn slow_subscriber_loses_nothing_of_either_stream() {
    let mut config = config();
    config.max_subscriber_backlog_bytes = 20_000;
    let two = TwoStreamPair::new(config);
    let inv = |number: u8| -> Message {
        Inv::from(vec![Inventory::Block(BlockHash([number; 32]))]).into()
    };
    // Far more than queues and backlogs hold, on both streams.
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..250 {
                for _ in 0..10 {
                    two.dialed.send(message(number), DEADLINE).unwrap();
                    two.dialed.send(inv(number), DEADLINE).unwrap();
                }
            }
        });
        let (mut first, mut second) = (0_u32, 0_u32);
        while first < 2500 || second < 2500 {
            let event = two.messages.recv_timeout(DEADLINE).unwrap();
            // Each stream keeps its order.
            if *event.message == message((first / 10) as u8) && first < 2500 {
                first += 1;
            } else {
                assert_eq!(*event.message, inv((second / 10) as u8));
                second += 1;
            }
        }
    });
    assert_eq!(two.control.try_iter().count(), 0);
}

#[test]
fn other_rules_reach_both_streams() {
    let two = TwoStreamPair::new(config());
    let mut config = config();
    // A message above the limit is accepted when the queue is empty.
    config.max_send_queue_messages = 1;
    config.read_stall_timeout = Duration::from_millis(200);
    two.dialed.update_config(config.clone()).unwrap();
    two.dialer.update_config(config).unwrap();
    two.dialer.ping(DEADLINE).unwrap();
    two.dialed.ping(DEADLINE).unwrap();
    two.dialer.disconnect();
    let end = two.owner.wait_for("the end", |event| {
        matches!(event, ControlEvent::ConnectionLost { .. })
    });
    let ControlEvent::ConnectionLost { reason, .. } = end else {
        unreachable!()
    };
    assert!(matches!(
        reason,
        DisconnectReason::ConnectionClosed | DisconnectReason::ConnectionReset
    ));
}

#[test]
fn supervisor_restores_both_streams() {
    let supervisor = Supervisor::start().unwrap();
    let owner = Owner::new(config());
    let setup = PeerConnectionOptions::new(config());
    let control = setup.events.subscribe_control();
    let restarts = RestartConfig {
        max_immediate_restarts: 100,
        ..RestartConfig::default()
    };
    let peer = supervisor
        .spawn_outbound(owner.address(), setup, restarts)
        .unwrap();
    for _ in 0..5 {
        let dialed = owner.accept().connection();
        owner.accept().socket.join();
        wait_for(&control, "the second stream", |event| {
            matches!(event, ControlEvent::StreamOpened { .. })
        });
        peer.ping(DEADLINE).unwrap();
        drop(dialed);
        wait_for(&control, "the restart", |event| {
            matches!(event, ControlEvent::ConnectionRestarting { .. })
        });
    }
    wait_until("the last restart is counted", || {
        peer.statistics().restarts == 5
    });
}

#[test]
fn end_during_stream_opening_leaves_nothing_behind() {
    run_in_own_process(
        "two_actors::end_during_stream_opening_leaves_nothing_behind",
        || {
            let node = LocalNode::start().unwrap();
            let genesis = BlockHeader::genesis(&Network::Regtest).hash();
            let one = |moment: u32| {
                let setup = PeerConnectionOptions::new(config());
                let control = setup.events.subscribe_control();
                let peer = PeerConnectionActor::spawn_outbound(node.address(), setup).unwrap();
                // From before the first byte until both streams are open.
                thread::park_timeout(Duration::from_micros(u64::from(moment) * 20));
                if moment.is_multiple_of(3) {
                    let _ = peer.headers(&[genesis], BlockHash::default(), Duration::ZERO);
                }
                drop(peer);
                let ends = control.try_iter().map(Result::unwrap).filter(|event| {
                    matches!(
                        event,
                        ControlEvent::ConnectionLost { .. } | ControlEvent::ConnectionFailed { .. }
                    )
                });
                assert_eq!(ends.count(), 1);
            };
            one(200);
            wait_until("the node has seen them go", || node.peer_count() == 0);
            let before = threads_and_descriptors();
            (0..300).for_each(one);
            wait_until("the threads and descriptors are gone", || {
                // The last streams of the node are released by the next connection.
                one(0);
                let (threads, descriptors) = threads_and_descriptors();
                threads <= before.0 + 1 && descriptors <= before.1 + 2
            });
        },
    );
}

/// Its queue holds more than its capacity on both sides.
#[test]
fn second_stream_opens_beside_stuck_subscribers() {
    let owner = Owner::new(config());
    let (stuck_dialed, stuck_dialer) = (owner.subscribe_to_one(), EventBus::new());
    let _both = stuck_dialer.subscribe_with(SubscriptionOptions {
        capacity: 2,
        ..SubscriptionOptions::default()
    });
    let control = stuck_dialer.subscribe_control();
    let dial = || {
        let setup = PeerConnectionOptions {
            events: stuck_dialer.clone(),
            ..PeerConnectionOptions::new(config())
        };
        PeerConnectionActor::spawn_outbound(owner.address(), setup).unwrap()
    };
    // The events of the first peer fill the queues.
    for peers in 1..=2 {
        let began = Instant::now();
        let dialer = dial();
        let dialed = owner.accept().connection();
        owner.accept().socket.join();
        let opened = |event: &ControlEvent| matches!(event, ControlEvent::StreamOpened { .. });
        wait_for(&control, "the second stream", opened);
        owner.wait_for("the second stream", opened);
        assert!(began.elapsed() < Duration::from_secs(1));
        for handle in [&dialer, &dialed] {
            handle.ping(DEADLINE).unwrap();
            (0..10).for_each(|number| handle.try_send(message(number)).unwrap());
        }
        wait_until("the queue is above its capacity", || {
            stuck_dialed.len() >= 10 * peers
        });
    }
}
