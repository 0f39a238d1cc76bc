//! The place of a byte in a stream of frames.

/// The part of a frame to which a byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Magic,
    Command,
    Length,
    Checksum,
    Payload,
}

const HEADER: usize = 24;

/// Follows the frames of one direction by their headers.
#[derive(Debug)]
pub(super) struct Tracker {
    header: Vec<u8>,
    /// The number of missing payload bytes after a complete header.
    payload: u64,
}

impl Tracker {
    pub(super) fn new() -> Self {
        Self {
            header: Vec::new(),
            payload: 0,
        }
    }

    /// Returns the place of the next byte.
    pub(super) fn place(&self) -> Place {
        match self.header.len() {
            0..4 => Place::Magic,
            4..16 => Place::Command,
            16..20 => Place::Length,
            20..HEADER => Place::Checksum,
            _ => Place::Payload,
        }
    }

    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let missing = HEADER - self.header.len();
            let taken = if missing > 0 {
                let taken = missing.min(bytes.len());
                self.header.extend_from_slice(&bytes[..taken]);
                if self.header.len() == HEADER {
                    let len = self.header[16..20].try_into().unwrap();
                    self.payload = u32::from_le_bytes(len).into();
                }
                taken
            } else {
                let taken = self.payload.min(bytes.len() as u64);
                self.payload -= taken;
                taken as usize
            };
            bytes = &bytes[taken..];
            if self.header.len() == HEADER && self.payload == 0 {
                self.header.clear();
            }
        }
    }
}
