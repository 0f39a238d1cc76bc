//! Reads and classifies the first message of an accepted socket.

use std::io::{ErrorKind, Read};
use std::time::Instant;

use super::ConnectionConfig;
use super::stream::{ReadWait, Stream};
use crate::network::Magic;
use crate::session::{StreamError, TransportClose};
use crate::sockets::is_timeout;
use crate::wire::{Command, CreateStrm, FrameReader, Incoming, Message, PayloadLimits};

const CREATESTRM: Command = Command::new("createstrm");
/// The maximum number of bytes that are read to find the first message. A valid `createstrm` is
/// shorter than 200 bytes.
const MAX_LEN: usize = 4 * 1024;
/// The number of reads after the deadline: of magic and command, and of the rest.
const MAX_LATE_READS: usize = 2;
/// The length of magic and command in bytes.
const PREFIX_LEN: usize = 4 + Command::LEN;

/// The first message of an accepted socket.
#[derive(Debug)]
pub(super) enum FirstMessage {
    /// The socket requests to become a stream of a connected peer.
    StreamRequest {
        request: CreateStrm,
        /// The length of its payload in bytes.
        len: u64,
        /// The bytes received after the request.
        frames: Box<FrameReader>,
    },
    /// A `createstrm` that cannot be decoded.
    InvalidStreamRequest(StreamError),
    /// Another message or invalid data. The session of a new connection handles it.
    Other,
    /// The socket ended, or the time was over, before the first message was known.
    Missing,
}

/// An accepted socket whose first message was read, and the received bytes.
#[derive(Debug)]
pub(super) struct FirstRead {
    pub(super) message: FirstMessage,
    pub(super) received: Vec<u8>,
    /// The end of the socket, if it was reached.
    pub(super) end: Option<TransportClose>,
}

/// Reads from `stream` until the first message is known, the socket ends, or `deadline` passes.
///
/// `deadline` is evaluated at least once a second, so that it may change. Data that has arrived is
/// read even after it, because the process may have been suspended. A shutdown of the socket ends
/// the read at once.
pub(super) fn read_first(
    mut stream: &Stream,
    config: &ConnectionConfig,
    deadline: impl Fn() -> Instant,
) -> FirstRead {
    let limits = config.session.limits.before_handshake();
    let mut received = Vec::new();
    let mut wait = ReadWait::default();
    // The stack of the thread would keep its memory until the connection ends.
    let mut buffer = vec![0; MAX_LEN];
    let (mut end, mut late_reads) = (None, 0);
    let message = loop {
        if let Some(message) = classify(&received, config.magic(), limits) {
            break message;
        }
        if end.is_some() || late_reads == MAX_LATE_READS {
            break FirstMessage::Missing;
        }
        let (now, deadline) = (Instant::now(), deadline());
        late_reads += usize::from(now >= deadline);
        // Most sockets request no stream. Their connection reads the rest into its own buffer.
        let max = match received.len() {
            ..PREFIX_LEN => PREFIX_LEN,
            _ => MAX_LEN,
        };
        let room = &mut buffer[..max - received.len()];
        let waits = wait.until(stream, Some(deadline), now);
        match waits.and_then(|()| stream.read(room)) {
            Ok(0) => end = Some(TransportClose::ConnectionClosed),
            Ok(len) => received.extend_from_slice(&room[..len]),
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(error) => end = Some(TransportClose::Failed(error.kind())),
        }
    };
    FirstRead {
        message,
        received,
        end,
    }
}

/// Returns the first message, or `None` if more bytes are needed.
///
/// Magic and command decide as soon as they differ from those of a `createstrm`.
fn classify(received: &[u8], magic: Magic, limits: PayloadLimits) -> Option<FirstMessage> {
    let mut prefix = [0; PREFIX_LEN];
    prefix[..4].copy_from_slice(&magic.0);
    prefix[4..].copy_from_slice(&CREATESTRM.to_bytes());
    let known = received.len().min(PREFIX_LEN);
    if received[..known] != prefix[..known] {
        return Some(FirstMessage::Other);
    }
    let mut frames = FrameReader::new(magic, limits);
    frames.push_received(received);
    match frames.next_frame() {
        Ok(Some(Incoming::Frame(frame))) => {
            let len = frame.payload.len() as u64;
            Some(match Message::decode(frame.command, frame.payload) {
                Ok(Message::CreateStrm(request)) => FirstMessage::StreamRequest {
                    request,
                    len,
                    frames: Box::new(frames),
                },
                Ok(_) => FirstMessage::Other,
                Err(error) => FirstMessage::InvalidStreamRequest(StreamError::from_decode(&error)),
            })
        }
        Ok(None) if received.len() < MAX_LEN => None,
        Ok(_) | Err(_) => Some(FirstMessage::Other),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::network::Network;
    use crate::wire::{AssociationId, StreamType, encode_frame};

    fn magic() -> Magic {
        Network::Regtest.magic()
    }

    fn classified(received: &[u8]) -> Option<FirstMessage> {
        classify(received, magic(), PayloadLimits::default())
    }

    fn frame(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_frame(magic(), message, &mut bytes);
        bytes
    }

    fn request() -> CreateStrm {
        CreateStrm {
            association_id: AssociationId::Uuid(uuid::Uuid::from_u128(7)),
            stream_type: StreamType::Data1,
            stream_policy: "BlockPriority".into(),
        }
    }

    fn raw_frame(payload: &[u8]) -> Vec<u8> {
        frame(&Message::Unknown {
            command: CREATESTRM,
            payload: payload.to_vec().into(),
        })
    }

    #[test]
    fn stream_request_is_found_with_its_last_byte() {
        let bytes = frame(&request().into());
        for len in 0..bytes.len() {
            assert!(classified(&bytes[..len]).is_none(), "{len}");
        }
        let rest = frame(&Message::Verack);
        let all = [&bytes[..], &rest, &rest[..5]].concat();
        let Some(FirstMessage::StreamRequest {
            request: found,
            len,
            mut frames,
        }) = classified(&all)
        else {
            panic!("a stream request");
        };
        assert_eq!(found, request());
        assert_eq!(len, bytes.len() as u64 - 24);
        let Ok(Some(Incoming::Frame(next))) = frames.next_frame() else {
            panic!("a frame after the request");
        };
        assert_eq!(next.command.name(), "verack");
        assert_eq!(frames.next_frame(), Ok(None));
        assert!(frames.is_inside_frame());
    }

    #[test]
    fn all_bytes_after_stream_request_are_kept() {
        let mut bytes = frame(&request().into());
        let more = frame(&Message::GetAddr);
        let mut count = 0;
        while bytes.len() + more.len() <= MAX_LEN {
            bytes.extend(&more);
            count += 1;
        }
        let Some(FirstMessage::StreamRequest { mut frames, .. }) = classified(&bytes) else {
            panic!("a stream request");
        };
        for _ in 0..count {
            assert!(matches!(frames.next_frame(), Ok(Some(Incoming::Frame(_)))));
        }
        assert_eq!(frames.next_frame(), Ok(None));
        assert!(!frames.is_inside_frame());
    }

    #[test]
    fn message_that_arrived_is_read_after_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (tcp, address) = listener.accept().unwrap();
        let stream = Stream::new(tcp, address, None, Duration::from_secs(1)).unwrap();
        let config = ConnectionConfig::new(Network::Regtest);
        let passed = Instant::now();
        peer.write_all(&frame(&request().into())).unwrap();
        let first = read_first(&stream, &config, || passed);
        let found = matches!(first.message, FirstMessage::StreamRequest { .. });
        assert!(found, "{first:?}");
        // Without a complete message, the deadline applies.
        peer.write_all(&magic().0).unwrap();
        let first = read_first(&stream, &config, || passed);
        let is_missing = matches!(first.message, FirstMessage::Missing);
        assert!(is_missing && first.received == magic().0, "{first:?}");
    }

    #[test]
    fn other_commands_are_classified_by_their_header() {
        for message in [Message::Verack, Message::GetAddr] {
            let bytes = frame(&message);
            assert!(classified(&bytes[..4]).is_none());
            assert!(matches!(classified(&bytes[..5]), Some(FirstMessage::Other)));
        }
        // A wrong magic is noticed with its first byte.
        assert!(matches!(
            classified(&[!magic().0[0]]),
            Some(FirstMessage::Other)
        ));
    }

    #[test]
    fn undecodable_stream_request_is_reported() {
        let mut wrong_type = frame(&request().into());
        wrong_type.drain(..24);
        wrong_type[18] = 6;
        for (payload, expected) in [
            (&[][..], StreamError::Malformed),
            (&[18, 0, 1], StreamError::Malformed),
            (&wrong_type, StreamError::TypeOutOfRange),
        ] {
            let Some(FirstMessage::InvalidStreamRequest(error)) = classified(&raw_frame(payload))
            else {
                panic!("{payload:?}");
            };
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn broken_or_oversized_stream_request_is_other() {
        let mut wrong_checksum = frame(&request().into());
        wrong_checksum[20] ^= 1;
        let mut claims_too_much = frame(&request().into());
        claims_too_much[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        // Valid, but longer than the read limit.
        let long = raw_frame(&[0; MAX_LEN]);
        for bytes in [&wrong_checksum[..], &claims_too_much, &long[..MAX_LEN]] {
            assert!(matches!(classified(bytes), Some(FirstMessage::Other)));
        }
        assert!(classified(&long[..MAX_LEN - 1]).is_none());
    }
}
