//! Queries over TCP, for long replies.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use super::answer::{Answer, Packet, judge};
use super::limit::Limit;
use super::question::Question;
use crate::discovery::ServerError;
use crate::sockets::{self, NotOpened, is_timeout};

/// The number of bytes of one read. The buffer grows with the received bytes, regardless of the
/// length that the server announced.
const CHUNK: usize = 4096;

/// Sends a query over TCP.
///
/// A packet is preceded by its length in two bytes (RFC 1035, section 4.2.2), so it has at most
/// 65,535 bytes.
pub(super) fn ask(
    server: SocketAddr,
    question: &Question,
    limit: &Limit<'_>,
) -> Result<Answer, ServerError> {
    let packet = question.packet().map_err(|_| ServerError::Malformed)?;
    let length = u16::try_from(packet.len()).map_err(|_| ServerError::Malformed)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(&packet);

    let mut stream = open(server, limit)?;
    send(&mut stream, &framed, limit)?;
    let answer = receive(&mut stream, limit)?;
    match judge(&answer, question) {
        Packet::Answer(answer) => answer,
        Packet::Foreign | Packet::Truncated | Packet::NeedsPlainQuestion => {
            Err(ServerError::Malformed)
        }
    }
}

fn open(server: SocketAddr, limit: &Limit<'_>) -> Result<TcpStream, ServerError> {
    let pause = |pause| {
        thread::sleep(pause);
        limit.left().is_none()
    };
    let stream =
        sockets::open(None, server, limit.end(), pause).map_err(|not_opened| match not_opened {
            NotOpened::Stopped | NotOpened::TimedOut => stalled(limit),
            NotOpened::NotBound(error)
            | NotOpened::NotStarted(error)
            | NotOpened::Failed(error) => failed(error.kind()),
        })?;
    stream
        .set_nonblocking(false)
        .map_err(|error| failed(error.kind()))?;
    Ok(stream)
}

fn send(stream: &mut TcpStream, mut rest: &[u8], limit: &Limit<'_>) -> Result<(), ServerError> {
    while !rest.is_empty() {
        let slice = limit.slice().ok_or_else(|| stalled(limit))?;
        let written = stream
            .set_write_timeout(Some(slice))
            .and_then(|()| stream.write(rest));
        match written {
            Ok(0) => return Err(failed(ErrorKind::WriteZero)),
            Ok(written) => rest = &rest[written..],
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error.kind())),
        }
    }
    Ok(())
}

fn receive(stream: &mut TcpStream, limit: &Limit<'_>) -> Result<Vec<u8>, ServerError> {
    let mut received = Vec::new();
    let mut chunk = [0; CHUNK];
    loop {
        if let Some((length, packet)) = received.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if let Some(packet) = packet.get(..length) {
                return Ok(packet.to_vec());
            }
        }
        let slice = limit.slice().ok_or_else(|| stalled(limit))?;
        let read = stream
            .set_read_timeout(Some(slice))
            .and_then(|()| stream.read(&mut chunk));
        match read {
            Ok(0) => return Err(failed(ErrorKind::UnexpectedEof)),
            Ok(read) => received.extend_from_slice(&chunk[..read]),
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error.kind())),
        }
    }
}

fn stalled(limit: &Limit<'_>) -> ServerError {
    ServerError::TcpStalled {
        after: limit.lasted(),
    }
}

fn failed(kind: ErrorKind) -> ServerError {
    ServerError::Io {
        kind,
        over_tcp: true,
    }
}
