//! Errors of lookups.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::error::WithSources;
use crate::host_name::InvalidName;
use crate::system_error::SystemError;

/// The error of a lookup. The message contains the seed and the failure of each name server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The name is not a valid host name. No query was sent.
    #[error("invalid host name {name:?}")]
    InvalidName {
        /// The name.
        name: String,
        /// The violated rule.
        #[source]
        error: InvalidName,
    },
    /// A name server replied that the name does not exist or has no address.
    #[error("{name} not found")]
    NotFound {
        /// The seed.
        name: String,
    },
    /// The lookup timed out.
    #[error("resolving {name} timed out after {after:?}{}", Listed(servers))]
    TimedOut {
        /// The seed.
        name: String,
        /// The timeout of the lookup.
        after: Duration,
        /// The failures of the name servers that were queried, in this order.
        servers: Vec<ServerFailure>,
    },
    /// The lookup was canceled.
    #[error("lookup canceled")]
    Cancelled,
    /// No name server returned an address, or that there is none.
    #[error("{name} not resolved by any name server{}", Listed(servers))]
    NoAnswer {
        /// The seed.
        name: String,
        /// The failures of the name servers, in the order of the queries.
        servers: Vec<ServerFailure>,
    },
    /// The resolver of the system failed, or the name does not exist. Only the text of the system
    /// distinguishes these cases.
    #[error("{name} not resolved by the system: {detail}")]
    System {
        /// The seed.
        name: String,
        /// The kind of the system's error.
        kind: io::ErrorKind,
        /// The text of the system's error.
        detail: String,
    },
    /// A resolver of the application failed or panicked, or a thread could not be spawned.
    #[error("{name} not resolved: {detail}")]
    Other {
        /// The seed.
        name: String,
        /// The text of the error.
        detail: String,
    },
    /// Name servers were configured, but the feature `dns` is off.
    #[error("name servers require the cargo feature `dns`")]
    NameServersNeedDns,
}

/// A name server that was queried, and its failure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerFailure {
    /// The address of the server.
    pub address: SocketAddr,
    /// The failure.
    pub error: ServerError,
}

impl fmt::Display for ServerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, WithSources(&self.error))
    }
}

/// The failure of a name server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The server sent no valid reply in time.
    #[error("no reply within {after:?}, {ignored} unrelated packets received")]
    NoReply {
        /// The time spent waiting.
        after: Duration,
        /// The number of received packets that did not match the query.
        ignored: u32,
    },
    /// The server returned an error code.
    #[error("response code {}", code_name(*code))]
    Refused {
        /// The response code (RFC 1035, section 4.1.1): 2 is SERVFAIL, 5 is REFUSED.
        code: u16,
    },
    /// The reply cannot be decoded.
    #[error("malformed reply")]
    Malformed,
    /// The CNAME records of the reply form a loop or a chain that is too long.
    #[error("CNAME chain is a loop or too long")]
    CnameLoop,
    /// The server could not be reached, or it closed the connection.
    #[error("query{} failed", if *.over_tcp { " over TCP" } else { "" })]
    Io {
        /// The error of the system.
        #[source]
        error: SystemError,
        /// Whether the query was sent over TCP, because the reply is long.
        over_tcp: bool,
    },
    /// The query over TCP, which a long reply needs, timed out.
    #[error("TCP reply timed out after {after:?}")]
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
        code => code.to_string(),
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

    #[cfg(target_os = "linux")]
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
                        error: io::Error::from_raw_os_error(libc::ECONNREFUSED).into(),
                        over_tcp: true,
                    },
                ),
            ],
        };
        assert_eq!(
            error.to_string(),
            "seed.test not resolved by any name server: \
             127.0.0.1:1: no reply within 2s, 3 unrelated packets received; \
             127.0.0.1:2: response code REFUSED; \
             127.0.0.1:3: query over TCP failed: Connection refused (os error 111)"
        );
        let error = ResolveError::TimedOut {
            name: "seed.test".into(),
            after,
            servers: Vec::new(),
        };
        assert_eq!(error.to_string(), "resolving seed.test timed out after 2s");
    }
}
