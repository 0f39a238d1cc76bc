//! A stream of frames that arrives in pieces, compared with the same stream in one piece.
//!
//! Input: settings (1 for small limits, 2 for valid checksums, 4 and 8 for the network, 16 for a
//! caller that reads twice before it requests frames), two bytes with the amount of padding after
//! the stream, the number of pieces, the size of each, then the stream.

use std::io::{self, Read};

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    BASIC_HEADER_LEN, EncodedFrame, Frame, FrameError, FrameReader, Incoming, Message,
    PayloadLimits, encode_frame, sha256d,
};

use super::input::Input;

/// The prefix of commands with an extended header.
const EXTENDED_MARK: &[u8] = b"extmsg";

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let settings = input.u8();
    // Usually none, because hashing it dominates the time.
    let filling = usize::from(input.u16().saturating_sub(0xc000)) * 16;
    let pieces = usize::from(input.u8() % 32);
    let pieces = input.take(pieces);
    let networks = [
        Network::Mainnet,
        Network::Testnet,
        Network::Stn,
        Network::Regtest,
    ];
    let magic = networks[usize::from(settings >> 2 & 3)].magic();
    let limits = if settings & 1 != 0 {
        small_limits()
    } else {
        PayloadLimits::default()
    };
    let mut stream = input.0.to_vec();
    stream.resize(stream.len() + filling, 0);
    if settings & 2 != 0 {
        mend_checksums(magic, &mut stream);
    }
    let at_once = read_all(magic, limits, false, &mut &stream[..]);
    let mut source = Pieces {
        sizes: pieces.iter(),
        bytes: &stream,
    };
    let hasty = settings & 16 != 0;
    assert_eq!(read_all(magic, limits, hasty, &mut source), at_once);
    for incoming in &at_once.incoming {
        look_at(magic, limits, incoming);
    }
    let mut source = Pieces {
        sizes: pieces.iter(),
        bytes: &stream,
    };
    assert_streams_alike(magic, limits, at_once.incoming, &mut source);
}

/// Asserts that blocks delivered in pieces are the ones that otherwise arrive complete or are
/// skipped.
fn assert_streams_alike(
    magic: Magic,
    limits: PayloadLimits,
    whole: Vec<Incoming>,
    source: &mut impl Read,
) {
    let mut whole = whole.into_iter();
    let mut frames = FrameReader::new(magic, limits);
    frames.stream_blocks(true);
    let mut begun = None;
    loop {
        match frames.next_frame() {
            Ok(Some(Incoming::BlockStart { header, len })) => {
                frames.stream_block(Vec::new());
                assert!(begun.replace((header, len, Vec::new())).is_none());
            }
            Ok(Some(Incoming::BlockChunk(chunk))) => {
                begun.as_mut().unwrap().2.extend_from_slice(&chunk);
                frames.refill(chunk);
            }
            Ok(Some(Incoming::BlockEnd { len, checksum })) => {
                let (header, claimed, bytes) = begun.take().unwrap();
                assert_eq!((claimed, bytes.len() as u64), (len, len));
                assert_eq!(bytes.first_chunk(), Some(&header.to_bytes()));
                match whole.next().unwrap() {
                    Incoming::Frame(frame) => {
                        assert_eq!((checksum, frame.payload), (Ok(()), bytes.into()));
                    }
                    // The checksum of a skipped payload is not checked otherwise.
                    Incoming::Discarded { block, .. } => assert_eq!(block, Some(header.hash())),
                    Incoming::Dropped(cause) => assert_eq!(checksum, Err(cause)),
                    other => panic!("{other:?}"),
                }
            }
            Ok(Some(other)) => assert_eq!(Some(other), whole.next()),
            Ok(None) => match frames.read_from(source) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
            },
            Err(_) => break,
        }
    }
    assert_eq!(whole.next(), None);
}

/// Returns limits that a short stream can exceed.
fn small_limits() -> PayloadLimits {
    PayloadLimits {
        general: 600,
        transaction: 40_000,
        block: 100_000,
        buffered: 50_000,
        unrequested: 50_000,
        ceiling: 90_000,
    }
}

/// Sets the checksum of each complete basic frame, because a fuzzer cannot find it.
fn mend_checksums(magic: Magic, mut stream: &mut [u8]) {
    while let Some((header, behind)) = stream.split_first_chunk_mut::<BASIC_HEADER_LEN>() {
        let len = u32::from_le_bytes([header[16], header[17], header[18], header[19]]) as usize;
        if !header.starts_with(&magic.0)
            || header[4..].starts_with(EXTENDED_MARK)
            || len > behind.len()
        {
            return;
        }
        let (payload, next) = behind.split_at_mut(len);
        header[20..].copy_from_slice(&sha256d(payload).as_bytes()[..4]);
        stream = next;
    }
}

/// Returns a fixed number of bytes for each read. Zero means an interruption. The bytes after the
/// last size arrive at once.
struct Pieces<'a> {
    sizes: std::slice::Iter<'a, u8>,
    bytes: &'a [u8],
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = match self.sizes.next() {
            Some(0) => return Err(io::ErrorKind::Interrupted.into()),
            Some(&size @ 1..=200) => usize::from(size),
            Some(&size) => usize::from(size - 200) * 1024,
            None => usize::MAX,
        };
        let most = most.min(buffer.len());
        (&mut self.bytes).read(&mut buffer[..most])
    }
}

/// The results of a reader for a stream, and its end.
#[derive(Debug, PartialEq)]
struct Seen {
    incoming: Vec<Incoming>,
    error: Option<FrameError>,
    inside_frame: bool,
    arriving: Option<(u64, u64)>,
}

/// Reads all frames. A hasty caller reads twice before it requests frames: a read may be refused,
/// but no bytes are lost.
fn read_all(magic: Magic, limits: PayloadLimits, hasty: bool, source: &mut impl Read) -> Seen {
    let mut frames = FrameReader::new(magic, limits);
    let mut incoming = Vec::new();
    let mut ended = false;
    let error = 'stream: loop {
        loop {
            match frames.next_frame() {
                Ok(Some(next)) => incoming.push(next),
                Ok(None) => break,
                Err(error) => break 'stream Some(error),
            }
        }
        if ended {
            break None;
        }
        for _ in 0..if hasty { 2 } else { 1 } {
            match frames.read_from(source) {
                Ok(read) => ended = read == 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => assert!(hasty && error.kind() == io::ErrorKind::InvalidInput),
            }
        }
    };
    if let Some(error) = &error {
        assert!(!error.to_string().is_empty());
        assert_eq!(frames.next_frame().as_ref(), Err(error), "for good");
    }
    let arriving = frames.arriving();
    assert!(arriving.is_none_or(|(len, missing)| 0 < missing && missing <= len));
    Seen {
        incoming,
        inside_frame: error.is_none() && frames.is_inside_frame(),
        error,
        arriving,
    }
}

fn look_at(magic: Magic, limits: PayloadLimits, incoming: &Incoming) {
    match incoming {
        Incoming::Frame(frame) => {
            let len = frame.payload.len() as u64;
            assert!(len <= limits.limit(frame.command).min(limits.buffered));
            look_at_frame(magic, limits, frame);
        }
        Incoming::Dropped(cause) => assert!(!cause.to_string().is_empty()),
        Incoming::Discarded {
            command,
            len,
            limit,
            block,
        } => {
            assert_eq!(*limit, limits.buffered.min(limits.limit(*command)));
            assert!(limit < len && *len <= limits.limit(*command));
            assert_eq!(block.is_some(), command.name() == "block");
        }
        other => panic!("nobody wants to be told of blocks: {other:?}"),
    }
}

/// Asserts that an encoded frame decodes to the same frame, and its message to the same message.
fn look_at_frame(magic: Magic, limits: PayloadLimits, frame: &Frame) {
    if frame.command.name().as_bytes().starts_with(EXTENDED_MARK) {
        // Only within an extended frame: no basic frame can have this command.
        assert!(frame.extended);
        return;
    }
    let as_it_came = Message::Unknown {
        command: frame.command,
        payload: frame.payload.clone(),
    };
    let encoded = EncodedFrame::new(magic, &as_it_came);
    let bytes = [encoded.header(), encoded.payload()].concat();
    assert_eq!(encoded.len(), bytes.len());
    let basic = Frame {
        extended: false,
        ..frame.clone()
    };
    let seen = read_all(magic, limits, false, &mut &bytes[..]);
    assert_eq!(seen.incoming, [Incoming::Frame(basic)]);
    assert_eq!((seen.error, seen.inside_frame), (None, false));
    if let Ok(message) = Message::decode(frame.command, frame.payload.clone()) {
        let mut once = Vec::new();
        encode_frame(magic, &message, &mut once);
        let shared = EncodedFrame::new(magic, &message);
        assert_eq!([shared.header(), shared.payload()].concat(), once);
    }
}
