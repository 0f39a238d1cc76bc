//! Why a name has not been resolved.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::host_name::InvalidName;

/// Why a lookup has brought no address. The message names the seed, and what each name server did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// It cannot be the name of a host; nobody was asked.
    #[error("{name:?} is no name of a host: {fault}")]
    InvalidName {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        fault: InvalidName,
    },
    /// A name server says that there is no such name, or that it has no address.
    #[error("{name} has no address")]
    NotFound {
        /// The seed.
        name: String,
    },
    /// The deadline came first.
    #[error("{name} was not resolved within {after:?}{}", Listed(servers))]
    TimedOut {
        /// The seed.
        name: String,
        /// How long the lookup could take.
        after: Duration,
        /// What each name server did that was asked until then, in this order.
        servers: Vec<ServerFailure>,
    },
    /// Somebody cut the lookup short.
    #[error("the lookup was stopped")]
    Stopped,
    /// Every name server has been asked, and none has said whether there is such a name.
    #[error("no name server has resolved {name}{}", Listed(servers))]
    NoAnswer {
        /// The seed.
        name: String,
        /// What each of them did, in the order in which they were asked.
        servers: Vec<ServerFailure>,
    },
    /// The system's resolver has failed, or says that there is no such name: which of both, only the text tells.
    #[error("{name} was not resolved by the system: {detail}")]
    System {
        /// The seed.
        name: String,
        /// The kind of the system's error.
        kind: io::ErrorKind,
        /// The system's own words.
        detail: String,
    },
    /// A resolver of the program's own has failed in its own way, a panic of it included; or there was no thread to ask in.
    #[error("{name} was not resolved: {detail}")]
    Other {
        /// The seed.
        name: String,
        /// What went wrong.
        detail: String,
    },
    /// Name servers were given, and only the feature `dns` can ask them.
    #[error(
        "name servers can be chosen only with the cargo feature `dns`, without which this program was built"
    )]
    NameServersNeedDns,
}

/// A name server that was asked, and did not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFailure {
    /// Which.
    pub address: SocketAddr,
    /// What it did instead.
    pub fault: ServerError,
}

impl fmt::Display for ServerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.address, self.fault)
    }
}

/// What a name server did instead of answering.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Nothing in time that answers the question.
    #[error("did not answer within {after:?}, but for {ignored} packets that were no answer")]
    Silent {
        /// How long it was waited for.
        after: Duration,
        /// How many packets came that did not belong to the question.
        ignored: u32,
    },
    /// It said that it cannot or will not answer.
    #[error("answered {}", code_name(*code))]
    Refused {
        /// The response code (RFC 1035, section 4.1.1): 2 is SERVFAIL, 5 REFUSED.
        code: u16,
    },
    /// The answer cannot be decoded.
    #[error("answered with what cannot be decoded")]
    Malformed,
    /// The names of the answer lead round in a circle, or do not come to an end.
    #[error("answered with a chain of names that does not end")]
    EndlessChain,
    /// The system could not reach it, or it closed the connection.
    #[error("could not be asked{}: {kind}", if *.over_tcp { " over TCP" } else { "" })]
    Io {
        /// The system's error.
        kind: io::ErrorKind,
        /// Whether a long answer was asked for over TCP.
        over_tcp: bool,
    },
    /// A long answer, which needs TCP, was not there in time.
    #[error("did not send its long answer over TCP within {after:?}")]
    TcpStalled {
        /// How long it was waited for.
        after: Duration,
    },
}

/// The name of a response code.
fn code_name(code: u16) -> String {
    match code {
        1 => "FORMERR".into(),
        2 => "SERVFAIL".into(),
        4 => "NOTIMP".into(),
        5 => "REFUSED".into(),
        code => format!("with code {code}"),
    }
}

/// What each server did, as the end of a sentence.
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
    fn an_error_names_the_seed_and_what_each_server_did() {
        let after = Duration::from_secs(2);
        let server = |port, fault| ServerFailure {
            address: ([127, 0, 0, 1], port).into(),
            fault,
        };
        let error = ResolveError::NoAnswer {
            name: "seed.test".into(),
            servers: vec![
                server(1, ServerError::Silent { after, ignored: 3 }),
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
