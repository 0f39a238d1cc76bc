//! A block that flows over one of two streams holds up no transaction that goes over the other; over a single stream it does.
//!
//! What counts is the order of events: whether a transaction has come before the block has come whole. The block has 32 MB;
//! `STREAM_BLOCK_BYTES=1000000000` makes it a gigabyte.

use std::io::{self, Read};
use std::thread;

use bsv_p2p::connection::{BlockReader, StreamStatistics, TrafficStats};
use bsv_p2p::wire::{StreamPolicy, StreamType};
use crossbeam_channel::bounded;

use crate::exchanges::{Program, Two, block};
use crate::harness::{LIMIT, until};

/// How many transactions are exchanged, each way.
const EXCHANGES: u32 = 50;
/// How much of the block is not read before the exchanges are done: more than waits in the process for a program that reads slowly. However
/// slow the machine, they are done while it flows, or not at all.
const HELD_BACK: u64 = 8 * 1024 * 1024;

/// Two programs, and a block between them whose beginning has come. All of it takes so many seconds at least.
fn begin(multistreams: bool, seconds: usize) -> (Two, BlockReader) {
    let len = std::env::var("STREAM_BLOCK_BYTES");
    let len = len.map_or(32_000_000, |len| len.parse().expect("a number of bytes"));
    let (hash, block) = block(len);
    let two = Two::begin(multistreams, (len / seconds) as u64, &block, LIMIT);
    let block = two.asker.peer.block_reader(hash, LIMIT);
    (two, block.expect("the beginning of the block"))
}

#[track_caller]
fn stream(program: &Program, stream: StreamType) -> StreamStatistics {
    let mut streams = program.peer.statistics().streams.into_iter();
    let found = streams.find(|one| one.stream == stream);
    found.expect("a stream that stands")
}

/// How many of these have come and gone over a stream.
fn count(stream: &StreamStatistics, command: &str) -> (u64, u64) {
    let mut commands = stream.commands.iter();
    let found = commands.find(|one| one.command.name() == command);
    let TrafficStats {
        messages_in,
        messages_out,
        ..
    } = found.map_or_else(TrafficStats::default, |one| one.traffic);
    (messages_in, messages_out)
}

#[test]
fn while_a_block_flows_over_the_second_stream_transactions_go_both_ways_over_the_first() {
    let (two, mut block) = begin(true, 5);
    let Two { holder, asker, .. } = &two;
    let of_block = || stream(asker, StreamType::Data1).traffic.bytes_in;
    thread::scope(|scope| {
        // Nothing is sent: whoever exchanges holds one end.
        let (exchanging, exchanged) = bounded::<()>(0);
        for (from, to) in [(holder, asker), (asker, holder)] {
            let exchanging = exchanging.clone();
            scope.spawn(move || {
                let mut before = 0;
                for number in 0..EXCHANGES {
                    from.offer_to(to, number, LIMIT);
                    assert!(!asker.has_block(), "{number}");
                    if number == 0 {
                        before = of_block();
                    }
                }
                assert!(of_block() > before, "the block did not flow meanwhile");
                drop(exchanging);
            });
        }
        drop(exchanging);
        let first = block.len() - HELD_BACK;
        io::copy(&mut block.by_ref().take(first), &mut io::sink()).expect("most of the block");
        let all_gone = exchanged.recv();
        assert!(all_gone.is_err());
        io::copy(&mut block, &mut io::sink()).expect("the block");
    });
    assert!(asker.has_block());
    for (program, blocks, questions) in [(holder, (0, 1), (1, 0)), (asker, (1, 0), (0, 1))] {
        let policy = program.peer.statistics().stream_policy;
        assert_eq!(policy, Some(StreamPolicy::BlockPriority));
        let [general, data1] =
            [StreamType::General, StreamType::Data1].map(|one| stream(program, one));
        assert_eq!(count(&data1, "block"), blocks);
        assert_eq!(count(&data1, "getdata"), questions);
        assert_eq!(count(&general, "block"), (0, 0));
        let both_ways = (u64::from(EXCHANGES), u64::from(EXCHANGES));
        for command in ["inv", "getdata", "tx"] {
            // What was sent last may be counted a moment after it has come.
            until("each went over the first stream", || {
                count(&stream(program, StreamType::General), command) == both_ways
            });
        }
        for command in ["inv", "tx"] {
            assert_eq!(count(&data1, command), (0, 0), "{command}");
        }
    }
}

#[test]
fn over_a_single_stream_what_the_sender_of_a_block_announces_comes_behind_the_block() {
    let (two, mut block) = begin(false, 1);
    let Two { holder, asker, .. } = &two;
    let announced = holder.announce(0, LIMIT);
    // Nobody has read on: the block flows.
    assert!(!asker.has_block());
    thread::scope(|scope| {
        scope.spawn(|| io::copy(&mut block, &mut io::sink()).expect("the block"));
        let (came, _) = asker.take(3 * LIMIT);
        assert_eq!(came, announced);
        assert!(asker.has_block());
    });
    assert_eq!(asker.peer.statistics().streams.len(), 1);
    assert_eq!(count(&stream(asker, StreamType::General), "block"), (1, 0));
}
