//! Shared helpers: vectors, streams in pieces, constructed frames.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    EncodedFrame, FrameError, FrameReader, Incoming, Message, PayloadLimits, encode_frame, sha256d,
};
use proptest::test_runner::Config;
use serde_json::Value;

pub(crate) const MAGIC: Magic = Magic([0xda, 0xb5, 0xbf, 0xfa]);

/// Every command that has a type.
pub(crate) const COMMANDS: [&str; 38] = [
    "addr",
    "alert",
    "authch",
    "authresp",
    "block",
    "blocktxn",
    "cmpctblock",
    "createstrm",
    "datareftx",
    "dsdetected",
    "feefilter",
    "filteradd",
    "filterclear",
    "filterload",
    "getaddr",
    "getblocks",
    "getblocktxn",
    "getdata",
    "gethdrsen",
    "getheaders",
    "hdrsen",
    "headers",
    "inv",
    "mempool",
    "merkleblock",
    "notfound",
    "ping",
    "pong",
    "protoconf",
    "reject",
    "revokemid",
    "sendcmpct",
    "sendhdrsen",
    "sendheaders",
    "streamack",
    "tx",
    "verack",
    "version",
];

/// Returns a file of `tests/vectors`.
pub(crate) fn vectors(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value:?}"))
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value:?}"))
}

/// Returns the network by the name that the vectors use.
pub(crate) fn network(name: &Value) -> Network {
    match text(name) {
        "main" => Network::Mainnet,
        "test" => Network::Testnet,
        other => other.parse().unwrap(),
    }
}

/// Returns a configuration with this number of cases. It writes no files for failures, because the
/// values are printed.
pub(crate) fn cases(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

/// Encodes a frame: any twelve bytes as the command, any checksum.
pub(crate) fn basic_frame(command: &[u8], payload: &[u8], checksum: [u8; 4]) -> Vec<u8> {
    let mut frame = basic_header(command, payload.len() as u32, checksum);
    frame.extend_from_slice(payload);
    frame
}

/// Encodes a frame with the correct checksum.
pub(crate) fn good_frame(command: &[u8], payload: &[u8]) -> Vec<u8> {
    basic_frame(command, payload, checksum(payload))
}

pub(crate) fn checksum(payload: &[u8]) -> [u8; 4] {
    *sha256d(payload).as_bytes().first_chunk().unwrap()
}

pub(crate) fn basic_header(command: &[u8], len: u32, checksum: [u8; 4]) -> Vec<u8> {
    let mut header = MAGIC.0.to_vec();
    header.extend_from_slice(&padded(command));
    header.extend_from_slice(&len.to_le_bytes());
    header.extend_from_slice(&checksum);
    header
}

/// Encodes an extended frame.
pub(crate) fn extended_frame(command: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = extended_header(command, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

pub(crate) fn extended_header(command: &[u8], len: u64) -> Vec<u8> {
    let mut header = basic_header(b"extmsg", u32::MAX, [0; 4]);
    header.extend_from_slice(&padded(command));
    header.extend_from_slice(&len.to_le_bytes());
    header
}

pub(crate) fn padded(command: &[u8]) -> [u8; 12] {
    let mut padded = [0; 12];
    padded[..command.len()].copy_from_slice(command);
    padded
}

/// A source that performs one step for each read: a number of bytes, or an error.
pub(crate) struct Source<'a> {
    pub(crate) bytes: &'a [u8],
    /// After the last step, all remaining bytes may be read at once.
    pub(crate) steps: VecDeque<Step>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Bytes(usize),
    Error(io::ErrorKind),
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = match self.steps.pop_front() {
            Some(Step::Bytes(most)) => most,
            Some(Step::Error(kind)) => return Err(kind.into()),
            None => usize::MAX,
        };
        let read = most.min(self.bytes.len()).min(buffer.len());
        buffer[..read].copy_from_slice(&self.bytes[..read]);
        self.bytes = &self.bytes[read..];
        Ok(read)
    }
}

/// All results of a reader for a source, used as documented, and the end of the stream.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) incoming: Vec<Incoming>,
    pub(crate) error: Option<FrameError>,
    pub(crate) inside_frame: bool,
}

pub(crate) fn read_all(frames: &mut FrameReader, source: &mut impl Read) -> Seen {
    let mut incoming = Vec::new();
    let mut error = None;
    'stream: loop {
        loop {
            match frames.next_frame() {
                Ok(Some(next)) => incoming.push(next),
                Ok(None) => break,
                Err(e) => {
                    error = Some(e);
                    break 'stream;
                }
            }
        }
        match frames.read_from(source) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(e) => panic!("{e}"),
        }
    }
    Seen {
        incoming,
        error,
        inside_frame: frames.is_inside_frame(),
    }
}

/// Returns the results of a new reader for these bytes, in reads of the maximum size.
pub(crate) fn read_bytes(magic: Magic, limits: PayloadLimits, mut bytes: &[u8]) -> Seen {
    read_all(&mut FrameReader::new(magic, limits), &mut bytes)
}

/// Returns the whole frame of a message, after checking that both encoders agree on it.
pub(crate) fn frame_of(magic: Magic, message: &Message) -> Vec<u8> {
    let mut once = Vec::new();
    encode_frame(magic, message, &mut once);
    let shared = EncodedFrame::new(magic, message);
    assert_eq!(shared.command(), message.command());
    assert_eq!(shared.len(), once.len());
    assert_eq!([shared.header(), shared.payload()].concat(), once);
    once
}
