//! Sources for a frame reader, and frame headers.

use std::io::{self, Read};

use bsv_p2p::wire::{Command, PayloadLimits};

use crate::MAGIC;

/// Returns limits that keep every allowed payload: the maximum that a peer can make a reader hold.
pub(crate) fn keep_all() -> PayloadLimits {
    PayloadLimits {
        buffered: u64::MAX,
        ..PayloadLimits::default()
    }
}

pub(crate) fn header(command: &str, len: u32, checksum: [u8; 4]) -> Vec<u8> {
    let mut header = MAGIC.0.to_vec();
    header.extend_from_slice(&Command::new(command).to_bytes());
    header.extend_from_slice(&len.to_le_bytes());
    header.extend_from_slice(&checksum);
    header
}

pub(crate) fn extended_header(command: &str, len: u64) -> Vec<u8> {
    let mut header = header("extmsg", u32::MAX, [0; 4]);
    header.extend_from_slice(&Command::new(command).to_bytes());
    header.extend_from_slice(&len.to_le_bytes());
    header
}

/// A source that returns at most `step` bytes at a time, without end.
pub(crate) struct Trickle {
    pub(crate) start: Vec<u8>,
    pub(crate) step: usize,
    pub(crate) given: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.step.min(buffer.len());
        for byte in &mut buffer[..step] {
            *byte = self.start.get(self.given).copied().unwrap_or(0x5a);
            self.given += 1;
        }
        Ok(step)
    }
}

/// A source without bytes.
pub(crate) struct Silence;

impl Read for Silence {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
