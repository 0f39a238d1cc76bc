//! A block on one of two streams does not delay transactions on the other. On a single stream it
//! does.
//!
//! The order of events counts: whether a transaction is complete before the block is complete. The
//! block has 32 MB. `STREAM_BLOCK_BYTES=1000000000` makes it a gigabyte.

use std::io::{self, Read};
use std::thread;

use bsv_p2p::connection::{BlockReader, StreamStatistics, TrafficStats};
use bsv_p2p::wire::{StreamPolicy, StreamType};
use crossbeam_channel::bounded;
use test_support::manager_pair::{ManagerPair, PairedManager, prepared_block};

use crate::harness::{LIMIT, until};

/// The number of transactions in each direction.
const EXCHANGES: u32 = 50;
/// The part of the block that is read only after the exchanges: more than the process buffers for a
/// slow reader. However slow the machine, the exchanges happen during the transfer, or not at all.
const HELD_BACK: u64 = 8 * 1024 * 1024;

/// Returns two programs, and a block in transfer between them. It takes at least `seconds`.
fn begin(multistreams: bool, seconds: usize) -> (ManagerPair, BlockReader<'static>) {
    let len = std::env::var("STREAM_BLOCK_BYTES");
    let len = len.map_or(32_000_000, |len| len.parse().expect("a number of bytes"));
    let (hash, block) = prepared_block(len);
    let two = ManagerPair::start(multistreams, (len / seconds) as u64, &block, LIMIT);
    let block = two.asker.peer.block_reader(hash, LIMIT);
    (two, block.expect("the beginning of the block"))
}

#[track_caller]
fn stream(program: &PairedManager, stream: StreamType) -> StreamStatistics {
    let mut streams = program.peer.statistics().streams.into_iter();
    let found = streams.find(|one| one.stream == stream);
    found.expect("a stream that stands")
}

/// Returns how many of these messages were received and sent on a stream.
fn count(stream: &StreamStatistics, command: &str) -> (u64, u64) {
    let mut commands = stream.commands.iter();
    let found = commands.find(|one| one.command.name() == command);
    let TrafficStats {
        messages_received,
        messages_sent,
        ..
    } = found.map_or_else(TrafficStats::default, |one| one.traffic);
    (messages_received, messages_sent)
}

#[test]
fn transactions_pass_a_block_on_second_stream() {
    let (two, mut block) = begin(true, 5);
    let ManagerPair { holder, asker, .. } = &two;
    let of_block = || stream(asker, StreamType::Data1).traffic.bytes_received;
    thread::scope(|scope| {
        // Each exchange lets a part of the block be read, so that neither ends before the other.
        let (exchange, exchanges) = bounded::<()>(0);
        for (from, to) in [(holder, asker), (asker, holder)] {
            let exchange = exchange.clone();
            scope.spawn(move || {
                let mut before = 0;
                for number in 0..EXCHANGES {
                    exchange.send(()).expect("the block is read");
                    from.offer_to(to, number, LIMIT);
                    assert!(!asker.has_block(), "{number}");
                    if number == 0 {
                        before = of_block();
                    }
                }
                assert!(of_block() > before, "the block did not flow meanwhile");
            });
        }
        drop(exchange);
        let part = (block.len() - HELD_BACK) / u64::from(2 * EXCHANGES);
        for () in exchanges {
            io::copy(&mut block.by_ref().take(part), &mut io::sink()).expect("most of the block");
        }
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
            // The last sent message may be counted shortly after its arrival.
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
fn announcements_follow_the_block_on_single_stream() {
    let (two, mut block) = begin(false, 1);
    let ManagerPair { holder, asker, .. } = &two;
    let announced = holder.announce(0, LIMIT);
    // The reader is paused: the block is in transfer.
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
