//! Memory use of the wire layer. The test binary has an allocator that counts per thread.

mod decoding;
mod derived;
mod encoding;
mod frames;
mod hostile;
mod messages;
mod samples;
mod sources;
mod streamed_blocks;

use std::hint::black_box;

use allocation_counter::measure;
use bsv_p2p::network::Magic;

const MAGIC: Magic = Magic([0xda, 0xb5, 0xbf, 0xfa]);

/// The memory that a block uses per transaction in addition to its bytes.
const PLACE: u64 = 8;

#[test]
fn counting_allocator_counts() {
    let counted = measure(|| drop(black_box(vec![0_u8; 1_000])));
    assert_eq!((counted.count_total, counted.bytes_max), (1, 1_000));
    assert_eq!(counted.bytes_current, 0);
}
