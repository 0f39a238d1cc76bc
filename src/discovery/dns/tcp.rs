//! Queries over TCP, for long replies.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use super::answer::{DnsAnswer, DnsPacket, classify_packet};
use super::query_limit::QueryLimit;
use super::question::Question;
use crate::discovery::ServerError;
use crate::sockets::{self, OpenError, is_timeout};

/// The number of bytes of one read. The buffer grows with the received bytes, regardless of the
/// length that the server announced.
const CHUNK: usize = 4096;

/// Sends a query over TCP.
///
/// A packet is preceded by its length in two bytes (RFC 1035, section 4.2.2), so it has at most
/// 65,535 bytes.
pub(super) fn query(
    server: SocketAddr,
    question: &Question,
    limit: &QueryLimit<'_>,
) -> Result<DnsAnswer, ServerError> {
    let packet = question.packet().map_err(|_| ServerError::Malformed)?;
    let length = u16::try_from(packet.len()).map_err(|_| ServerError::Malformed)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(&packet);

    let mut stream = open(server, limit)?;
    send(&mut stream, &framed, limit)?;
    let answer = receive(&mut stream, limit)?;
    match classify_packet(&answer, question) {
        DnsPacket::Answer(answer) => answer,
        DnsPacket::Unrelated | DnsPacket::Truncated | DnsPacket::NeedsPlainQuestion => {
            Err(ServerError::Malformed)
        }
    }
}

fn open(server: SocketAddr, limit: &QueryLimit<'_>) -> Result<TcpStream, ServerError> {
    let pause = |pause| {
        thread::sleep(pause);
        limit.remaining().is_none()
    };
    let stream = sockets::open(None, server, limit.end(), pause).map_err(|error| match error {
        OpenError::Cancelled | OpenError::TimedOut => timed_out(limit),
        OpenError::BindFailed(error) | OpenError::StartFailed(error) | OpenError::Failed(error) => {
            failed(error)
        }
    })?;
    stream.set_nonblocking(false).map_err(failed)?;
    Ok(stream)
}

fn send(
    stream: &mut TcpStream,
    mut rest: &[u8],
    limit: &QueryLimit<'_>,
) -> Result<(), ServerError> {
    while !rest.is_empty() {
        let timeout = limit.poll_timeout().ok_or_else(|| timed_out(limit))?;
        let written = stream
            .set_write_timeout(Some(timeout))
            .and_then(|()| stream.write(rest));
        match written {
            Ok(0) => return Err(failed(ErrorKind::WriteZero.into())),
            Ok(written) => rest = &rest[written..],
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn receive(stream: &mut TcpStream, limit: &QueryLimit<'_>) -> Result<Vec<u8>, ServerError> {
    let mut received = Vec::new();
    let mut chunk = [0; CHUNK];
    loop {
        if let Some((length, packet)) = received.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if let Some(packet) = packet.get(..length) {
                return Ok(packet.to_vec());
            }
        }
        let timeout = limit.poll_timeout().ok_or_else(|| timed_out(limit))?;
        let read = stream
            .set_read_timeout(Some(timeout))
            .and_then(|()| stream.read(&mut chunk));
        match read {
            Ok(0) => return Err(failed(ErrorKind::UnexpectedEof.into())),
            Ok(read) => received.extend_from_slice(&chunk[..read]),
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

fn timed_out(limit: &QueryLimit<'_>) -> ServerError {
    ServerError::TcpTimeout {
        after: limit.elapsed(),
    }
}

fn failed(error: io::Error) -> ServerError {
    ServerError::Io {
        error: error.into(),
        over_tcp: true,
    }
}
