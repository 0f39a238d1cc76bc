//! Allocations of encoding.

use allocation_counter::measure;
use bsv_p2p::wire::{Encode, encode_frame};

use crate::MAGIC;
use crate::messages::messages;

#[test]
fn encoding_into_a_buffer_with_room_allocates_nothing() {
    let mut out = Vec::with_capacity(600_000);
    for message in messages() {
        out.clear();
        let counted = measure(|| encode_frame(MAGIC, &message, &mut out));
        assert_eq!(counted.count_total, 0, "{}", message.command());
        assert_eq!(out.len() as u64, 24 + message.encoded_len());
    }
}

#[test]
fn encoding_allocates_once_for_the_frame() {
    for message in messages() {
        let mut out = Vec::new();
        let counted = measure(|| encode_frame(MAGIC, &message, &mut out));
        assert_eq!(counted.count_total, 1, "{}", message.command());
        assert!(
            counted.bytes_max <= out.len().max(64) as u64,
            "{}",
            message.command()
        );
    }
}
