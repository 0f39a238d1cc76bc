//! Blocks that are delivered in pieces.

use allocation_counter::measure;
use bsv_p2p::Network;
use bsv_p2p::wire::{
    Block, BlockHeader, BlockScanner, FrameReader, Incoming, PayloadLimits, Transaction,
    TransactionOutput,
};

use crate::MAGIC;
use crate::sources::{Trickle, extended_header};

#[test]
fn streamed_block_uses_one_chunk() {
    const LEN: u64 = 64 << 20;
    let mut count = 0;
    let counted = measure(|| {
        let mut frames = FrameReader::new(MAGIC, PayloadLimits::default());
        frames.stream_blocks(true);
        let mut source = Trickle {
            start: extended_header("block", LEN),
            step: usize::MAX,
            given: 0,
        };
        loop {
            match frames.next_frame().unwrap() {
                Some(Incoming::BlockStart { len, .. }) => {
                    assert_eq!(len, LEN);
                    frames.stream_block(Vec::new());
                }
                Some(Incoming::BlockChunk(chunk)) => {
                    count += chunk.len() as u64;
                    frames.refill(chunk);
                }
                Some(Incoming::BlockEnd { .. }) => break,
                Some(other) => panic!("{other:?}"),
                None => drop(frames.read_from(&mut source).unwrap()),
            }
        }
    });
    assert_eq!(count, LEN);
    // The chunk, the arrival buffer in two sizes, the header, and the state of the payload.
    assert!(counted.bytes_max < (256 + 73) * 1024, "{counted:?}");
    assert!(
        counted.count_total <= 10,
        "buffers are used again: {counted:?}"
    );
}

#[test]
fn block_scanner_does_not_buffer_transactions() {
    let transaction = Transaction {
        version: 1,
        inputs: Vec::new(),
        outputs: vec![TransactionOutput {
            value: 0,
            script: vec![0; 100_000],
        }],
        lock_time: 0,
    };
    let header = BlockHeader::genesis(&Network::Mainnet);
    let block = Block::new(&header, &vec![transaction; 20]);
    let mut scanner = BlockScanner::new(block.bytes().len() as u64);
    let counted = measure(|| {
        for mut piece in block.bytes().chunks(7_000) {
            while scanner.scan(&mut piece).unwrap().is_some() {}
        }
    });
    assert!(scanner.is_complete());
    // The offset inside of each transaction that does not arrive in one piece.
    assert!(counted.bytes_max < 1024, "{counted:?}");
}
