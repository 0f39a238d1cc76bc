//! Errors of lookups.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::host_name::InvalidName;

/// The error of a lookup. The message contains the seed and the failure of each name server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The name is not a valid host name. No query was sent.
    #[error("{name:?} is no name of a host: {error}")]
    InvalidName {
        /// The name.
        name: String,
        /// The violated rule.
        error: InvalidName,
    },
    /// A name server replied that the name does not exist or has no address.
    #[error("{name} has no address")]
    NotFound {
        /// The seed.
        name: String,
    },
    /// The lookup timed out.
    #[error("{name} was not resolved within {after:?}{}", Listed(servers))]
    TimedOut {
        /// The seed.
        name: String,
        /// The timeout of the lookup.
        after: Duration,
        /// The failures of the name servers that were queried, in this order.
        servers: Vec<ServerFailure>,
    },
    /// The lookup was canceled.
    #[error("the lookup was stopped")]
    Cancelled,
    /// No name server returned an address, or that there is none.
    #[error("no name server has resolved {name}{}", Listed(servers))]
    NoAnswer {
        /// The seed.
        name: String,
        /// The failures of the name servers, in the order of the queries.
        servers: Vec<ServerFailure>,
    },
    /// The resolver of the system failed, or the name does not exist. Only the text of the system
    /// distinguishes these cases.
    #[error("{name} was not resolved by the system: {detail}")]
    System {
        /// The seed.
        name: String,
        /// The kind of the system's error.
        kind: io::ErrorKind,
        /// The text of the system's error.
        detail: String,
    },
    /// A resolver of the application failed or panicked, or a thread could not be spawned.
    #[error("{name} was not resolved: {detail}")]
    Other {
        /// The seed.
        name: String,
        /// The text of the error.
        detail: String,
    },
    /// Name servers were configured, but the feature `dns` is off.
    #[error(
        "name servers can be chosen only with the cargo feature `dns`, without which this program was built"
    )]
    NameServersNeedDns,
}

/// A name server that was queried, and its failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFailure {
    /// The address of the server.
    pub address: SocketAddr,
    /// The failure.
    pub error: ServerError,
}

impl fmt::Display for ServerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.address, self.error)
    }
}

/// The failure of a name server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The server sent no valid reply in time.
    #[error("did not answer within {after:?}, but for {ignored} packets that were no answer")]
    NoReply {
        /// The time spent waiting.
        after: Duration,
        /// The number of received packets that did not match the query.
        ignored: u32,
    },
    /// The server returned an error code.
    #[error("answered {}", code_name(*code))]
    Refused {
        /// The response code (RFC 1035, section 4.1.1): 2 is SERVFAIL, 5 is REFUSED.
        code: u16,
    },
    /// The reply cannot be decoded.
    #[error("answered with what cannot be decoded")]
    Malformed,
    /// The CNAME records of the reply form a loop or a chain that is too long.
    #[error("answered with a chain of names that does not end")]
    CnameLoop,
    /// The server could not be reached, or it closed the connection.
    #[error("could not be asked{}: {kind}", if *.over_tcp { " over TCP" } else { "" })]
    Io {
        /// The kind of the system's error.
        kind: io::ErrorKind,
        /// Whether the query was sent over TCP, because the reply is long.
        over_tcp: bool,
    },
    /// The query over TCP, which a long reply needs, timed out.
    #[error("did not send its long answer over TCP within {after:?}")]
    TcpTimeout {
        /// The time spent waiting.
        after: Duration,
    },
}

/// Returns the name of a response code.
fn code_name(code: u16) -> String {
    match code {
        1 => "FORMERR".into(),
        2 => "SERVFAIL".into(),
        4 => "NOTIMP".into(),
        5 => "REFUSED".into(),
        code => format!("with code {code}"),
    }
}

/// Formats the failures of servers as the end of a sentence.
struct Listed<'a>(&'a [ServerFailure]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            server.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_contains_seed_and_server_failures() {
        let after = Duration::from_secs(2);
        let server = |port, error| ServerFailure {
            address: ([127, 0, 0, 1], port).into(),
            error,
        };
        let error = ResolveError::NoAnswer {
            name: "seed.test".into(),
            servers: vec![
                server(1, ServerError::NoReply { after, ignored: 3 }),
                server(2, ServerError::Refused { code: 5 }),
                server(
                    3,
                    ServerError::Io {
                        kind: io::ErrorKind::ConnectionRefused,
                        over_tcp: true,
                    },
                ),
            ],
        };
        assert_eq!(
            error.to_string(),
            "no name server has resolved seed.test: \
             127.0.0.1:1 did not answer within 2s, but for 3 packets that were no answer; \
             127.0.0.1:2 answered REFUSED; \
             127.0.0.1:3 could not be asked over TCP: connection refused"
        );
        let error = ResolveError::TimedOut {
            name: "seed.test".into(),
            after,
            servers: Vec::new(),
        };
        assert_eq!(error.to_string(), "seed.test was not resolved within 2s");
    }
}
