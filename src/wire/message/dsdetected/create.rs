//! The constructor of a `dsdetected`.

use super::{DsDetected, DsDetectedBlock};
use crate::wire::{Encode, write_compact_size};

impl DsDetected {
    /// The only version of the message. Nodes add a score of 10 for any other.
    pub const VERSION: u16 = 1;

    /// Creates a message from its blocks.
    pub fn new(blocks: &[DsDetectedBlock]) -> Self {
        let mut payload = Self::VERSION.to_le_bytes().to_vec();
        write_compact_size(blocks.len() as u64, &mut payload);
        for block in blocks {
            block.encode(&mut payload);
        }
        Self {
            payload: payload.into(),
        }
    }
}
