//! One query of a name server: both address families over one socket.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::rr::{Name, RecordType};

use super::answer::{DnsAnswer, DnsPacket, classify_packet};
use super::query_limit::QueryLimit;
use super::question::Question;
use super::tcp;
use crate::discovery::name::distinct;
use crate::discovery::{MAX_ADDRESSES, ServerError};
use crate::sockets::is_timeout;

/// The interval after which a query without a reply is sent again, because packets can be lost.
const RETRANSMIT: Duration = Duration::from_millis(500);
/// The time to wait for the reply for the other family after the first reply has decided the
/// lookup. Some servers never reply for one family (RFC 4074, section 4.1). It allows for one lost
/// packet.
const FAMILY_GRACE: Duration = Duration::from_millis(1000);
/// The size of the receive buffer. A longer packet exceeds the announced maximum and fails to
/// decode.
const MAX_PACKET: usize = 4096;

/// A query and its result.
struct PendingQuery {
    question: Question,
    outcome: Option<Result<DnsAnswer, ServerError>>,
}

/// Queries a server for both families.
///
/// Returns an empty list if the server replied that the name does not exist or has no address.
pub(super) fn query(
    server: SocketAddr,
    name: &Name,
    limit: &mut QueryLimit<'_>,
) -> Result<Vec<IpAddr>, ServerError> {
    let mut queries = [RecordType::A, RecordType::AAAA].map(|family| PendingQuery {
        question: Question::new(name.clone(), family),
        outcome: None,
    });
    let ignored = exchange(server, &mut queries, limit).map_err(|error| ServerError::Io {
        error: error.into(),
        over_tcp: false,
    })?;
    let no_reply = ServerError::NoReply {
        after: limit.elapsed(),
        ignored,
    };
    merge_answers(queries.map(|query| query.outcome.unwrap_or_else(|| Err(no_reply.clone()))))
}

/// Merges the replies to both queries.
fn merge_answers(answers: [Result<DnsAnswer, ServerError>; 2]) -> Result<Vec<IpAddr>, ServerError> {
    let mut found = Vec::new();
    let (mut error, mut is_absent) = (None, false);
    for answer in answers {
        match answer {
            Ok(DnsAnswer::Addresses(addresses)) => found.extend(addresses),
            Ok(DnsAnswer::NoName) => is_absent = true,
            Ok(DnsAnswer::NoAddress) => {}
            Err(other) => error = error.or(Some(other)),
        }
    }
    // Some servers return NXDOMAIN if only the other family exists (RFC 4074, section 4.2), so
    // addresses take precedence.
    match error {
        Some(error) if found.is_empty() && !is_absent => Err(error),
        // Both families may contain one address, as IPv4 and as IPv4-mapped.
        _ => Ok(distinct(found, MAX_ADDRESSES)),
    }
}

/// Sends and receives until both queries have a result or the time is over. Returns the number of
/// packets that matched neither.
fn exchange(
    server: SocketAddr,
    queries: &mut [PendingQuery; 2],
    limit: &mut QueryLimit<'_>,
) -> io::Result<u32> {
    let socket = open(server)?;
    let mut packet = [0; MAX_PACKET];
    let mut ignored = 0;
    let mut next_send = Instant::now();
    while queries.iter().any(|one| one.outcome.is_none()) {
        let Some(timeout) = limit.poll_timeout() else {
            break;
        };
        let now = Instant::now();
        if next_send <= now {
            for one in queries.iter().filter(|one| one.outcome.is_none()) {
                send(&socket, &one.question)?;
            }
            next_send = now + RETRANSMIT;
        }
        socket.set_read_timeout(Some(timeout.min(next_send - now)))?;
        let received = match socket.recv(&mut packet) {
            Ok(length) => &packet[..length],
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if queries.iter().all(|one| one.outcome.is_none()) => return Err(error),
            // Replies that were received before the error are still used.
            Err(_) => break,
        };
        let mut is_unrelated = true;
        for one in queries.iter_mut().filter(|one| one.outcome.is_none()) {
            match classify_packet(received, &one.question) {
                DnsPacket::Unrelated => continue,
                DnsPacket::NeedsPlainQuestion => {
                    one.question.with_edns = false;
                    send(&socket, &one.question)?;
                }
                DnsPacket::Truncated => {
                    one.outcome = Some(tcp::query(server, &one.question, limit))
                }
                DnsPacket::Answer(answer) => one.outcome = Some(answer),
            }
            is_unrelated = false;
            if matches!(
                one.outcome,
                Some(Ok(DnsAnswer::Addresses(_) | DnsAnswer::NoName))
            ) {
                limit.shorten(FAMILY_GRACE);
            }
            break;
        }
        ignored += u32::from(is_unrelated);
    }
    Ok(ignored)
}

/// Opens a socket that is connected to the server.
///
/// The system then drops packets of other senders, and reports a closed port.
fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    Ok(socket)
}

fn send(socket: &UdpSocket, question: &Question) -> io::Result<()> {
    let packet = question.packet().map_err(io::Error::other)?;
    socket.send(&packet).map(drop)
}
