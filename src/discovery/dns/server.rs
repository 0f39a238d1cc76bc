//! One query of a name server: both address families over one socket.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::rr::{Name, RecordType};

use super::answer::{Answer, Packet, judge};
use super::limit::Limit;
use super::question::Question;
use super::tcp;
use crate::discovery::name::distinct;
use crate::discovery::{MAX_ADDRESSES, ServerError};
use crate::sockets::is_timeout;

/// The interval after which a query without a reply is sent again, because packets can be lost.
const AGAIN: Duration = Duration::from_millis(500);
/// The time to wait for the reply for the other family after the first reply has decided the
/// lookup. Some servers never reply for one family (RFC 4074, section 4.1). It allows for one lost
/// packet.
const GRACE: Duration = Duration::from_millis(1000);
/// The size of the receive buffer. A longer packet exceeds the announced maximum and fails to
/// decode.
const LONGEST: usize = 4096;

/// A query and its result.
struct Asking {
    question: Question,
    outcome: Option<Result<Answer, ServerError>>,
}

/// Queries a server for both families.
///
/// Returns an empty list if the server replied that the name does not exist or has no address.
pub(super) fn ask(
    server: SocketAddr,
    name: &Name,
    limit: &mut Limit<'_>,
) -> Result<Vec<IpAddr>, ServerError> {
    let mut asking = [RecordType::A, RecordType::AAAA].map(|family| Asking {
        question: Question::new(name.clone(), family),
        outcome: None,
    });
    let ignored = exchange(server, &mut asking, limit).map_err(|error| ServerError::Io {
        kind: error.kind(),
        over_tcp: false,
    })?;
    let silent = ServerError::Silent {
        after: limit.lasted(),
        ignored,
    };
    conclude(asking.map(|asking| asking.outcome.unwrap_or_else(|| Err(silent.clone()))))
}

/// Merges the replies to both queries.
fn conclude(answers: [Result<Answer, ServerError>; 2]) -> Result<Vec<IpAddr>, ServerError> {
    let mut found = Vec::new();
    let (mut fault, mut is_absent) = (None, false);
    for answer in answers {
        match answer {
            Ok(Answer::Addresses(addresses)) => found.extend(addresses),
            Ok(Answer::NoName) => is_absent = true,
            Ok(Answer::NoAddress) => {}
            Err(other) => fault = fault.or(Some(other)),
        }
    }
    // Some servers return NXDOMAIN if only the other family exists (RFC 4074, section 4.2), so
    // addresses take precedence.
    match fault {
        Some(fault) if found.is_empty() && !is_absent => Err(fault),
        // Both families may contain one address, as IPv4 and as IPv4-mapped.
        _ => Ok(distinct(found, MAX_ADDRESSES)),
    }
}

/// Sends and receives until both queries have a result or the time is over. Returns the number of
/// packets that matched neither.
fn exchange(
    server: SocketAddr,
    asking: &mut [Asking; 2],
    limit: &mut Limit<'_>,
) -> io::Result<u32> {
    let socket = open(server)?;
    let mut packet = [0; LONGEST];
    let mut ignored = 0;
    let mut next_sending = Instant::now();
    while asking.iter().any(|one| one.outcome.is_none()) {
        let Some(slice) = limit.slice() else { break };
        let now = Instant::now();
        if next_sending <= now {
            for one in asking.iter().filter(|one| one.outcome.is_none()) {
                send(&socket, &one.question)?;
            }
            next_sending = now + AGAIN;
        }
        socket.set_read_timeout(Some(slice.min(next_sending - now)))?;
        let received = match socket.recv(&mut packet) {
            Ok(length) => &packet[..length],
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if asking.iter().all(|one| one.outcome.is_none()) => return Err(error),
            // Replies that were received before the error are still used.
            Err(_) => break,
        };
        let mut is_foreign = true;
        for one in asking.iter_mut().filter(|one| one.outcome.is_none()) {
            match judge(received, &one.question) {
                Packet::Foreign => continue,
                Packet::NeedsPlainQuestion => {
                    one.question.with_edns = false;
                    send(&socket, &one.question)?;
                }
                Packet::Truncated => one.outcome = Some(tcp::ask(server, &one.question, limit)),
                Packet::Answer(answer) => one.outcome = Some(answer),
            }
            is_foreign = false;
            if matches!(one.outcome, Some(Ok(Answer::Addresses(_) | Answer::NoName))) {
                limit.shorten(GRACE);
            }
            break;
        }
        ignored += u32::from(is_foreign);
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
