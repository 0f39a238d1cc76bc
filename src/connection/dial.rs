//! Opens outbound TCP connections.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::close_cell::CloseCell;
use crate::deadline::deadline_after;
use crate::session::DisconnectReason;
use crate::sockets::{self, OpenError};
use crate::system_error::SystemError;
use crate::wire::StreamType;

/// Opens the first TCP connection to a peer. Returns early if `close` has a reason, with the reason.
pub(super) fn dial(
    address: SocketAddr,
    timeout: Duration,
    close: &CloseCell,
) -> Result<TcpStream, DisconnectReason> {
    open(None, address, timeout, close).map_err(|error| match error {
        DialError::BindFailed(error) => DisconnectReason::LocalFault(error),
        DialError::ConnectFailed(reason) => reason,
    })
}

/// The reason why a connection from a given local address was not opened.
#[derive(Debug)]
pub(super) enum DialError {
    /// The socket could not be bound to the local address.
    BindFailed(SystemError),
    /// The connection was not established.
    ConnectFailed(DisconnectReason),
}

/// Opens the TCP connection of a data stream from the local address `from`. If its port is 0, the
/// system chooses one. Returns early if `close` has a reason.
pub(super) fn dial_from_local(
    from: SocketAddr,
    address: SocketAddr,
    timeout: Duration,
    close: &CloseCell,
) -> Result<TcpStream, DialError> {
    open(Some(from), address, timeout, close)
}

fn open(
    from: Option<SocketAddr>,
    address: SocketAddr,
    timeout: Duration,
    close: &CloseCell,
) -> Result<TcpStream, DialError> {
    let deadline = deadline_after(timeout);
    // Each stream has a thread and a waker of its own.
    let stream = match from {
        None => StreamType::General,
        Some(_) => StreamType::Data1,
    };
    let opened = sockets::open(from, address, deadline, |pause| close.wait(stream, pause));
    opened.map_err(|error| map_error(error, timeout, close))
}

fn map_error(error: OpenError, timeout: Duration, close: &CloseCell) -> DialError {
    DialError::ConnectFailed(match error {
        OpenError::BindFailed(error) => return DialError::BindFailed(error.into()),
        OpenError::Cancelled => close.reason().unwrap_or(DisconnectReason::Requested),
        OpenError::TimedOut => DisconnectReason::ConnectTimeout { after: timeout },
        OpenError::StartFailed(error) => classify_start_error(&error, timeout),
        OpenError::Failed(error) => classify_error(&error, timeout),
    })
}

/// Classifies an immediate error of the system.
fn classify_start_error(error: &io::Error, timeout: Duration) -> DisconnectReason {
    let system = SystemError::from(error);
    if system.is_local_fault() {
        return DisconnectReason::LocalFault(system);
    }
    classify_error(error, timeout)
}

/// Classifies an error of a connection attempt that was under way. A router can cause most of them,
/// such as `ENETUNREACH` by an ICMP message, so that they are not local faults.
fn classify_error(error: &io::Error, timeout: Duration) -> DisconnectReason {
    let system = SystemError::from(error);
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DisconnectReason::ConnectRefused,
        io::ErrorKind::TimedOut => DisconnectReason::ConnectTimeout { after: timeout },
        _ if system.is_out_of_resources() => DisconnectReason::LocalFault(system),
        _ => DisconnectReason::Unreachable(system),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::DisconnectAction;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn dial_binds_requested_local_address_or_fails() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let close = CloseCell::new();
        // An address of this host that the system would not choose.
        let from = "127.0.0.77:0".parse().unwrap();
        let dialed = dial_from_local(from, address, 10 * SECOND, &close).unwrap();
        let (_, seen) = listener.accept().unwrap();
        assert_eq!(seen.ip(), from.ip());
        assert_eq!(dialed.local_addr().unwrap(), seen);

        // An address that this host does not have.
        let elsewhere = "192.0.2.1:0".parse().unwrap();
        let refused = dial_from_local(elsewhere, address, 10 * SECOND, &close);
        assert!(
            matches!(refused, Err(DialError::BindFailed(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn connection_to_own_port_means_refused() {
        // No other test uses a port of this address.
        let listener = std::net::TcpListener::bind("127.0.0.92:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let dialed = dial_from_local(address, address, 10 * SECOND, &CloseCell::new());
        let Err(DialError::ConnectFailed(reason)) = dialed else {
            panic!("{dialed:?}");
        };
        assert_eq!(reason, DisconnectReason::ConnectRefused);
        assert_eq!(reason.action(), DisconnectAction::Backoff);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn refused_connect_is_local_fault_with_number() {
        // A link-local address without its scope, which no system can route.
        let address = "[fe80::1]:8333".parse().unwrap();
        let fault = dial(address, 10 * SECOND, &CloseCell::new()).unwrap_err();
        let DisconnectReason::LocalFault(error) = fault else {
            panic!("{fault:?}");
        };
        assert!(error.code.is_some() && error.is_local_fault(), "{error:?}");
    }

    #[test]
    #[cfg(unix)]
    fn only_immediate_errors_are_local_faults() {
        let after = SECOND;
        let local = [
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::EADDRNOTAVAIL,
            libc::EACCES,
            libc::EPERM,
            libc::ENETUNREACH,
            libc::EINVAL,
        ];
        for code in 1..=133 {
            let error = io::Error::from_raw_os_error(code);
            let system = SystemError::from(&error);
            let at_once = classify_start_error(&error, after);
            let (expected, later) = match code {
                libc::ECONNREFUSED => {
                    let refused = DisconnectReason::ConnectRefused;
                    (refused.clone(), refused)
                }
                libc::ETIMEDOUT => {
                    let timed_out = DisconnectReason::ConnectTimeout { after };
                    (timed_out.clone(), timed_out)
                }
                _ if system.is_out_of_resources() => {
                    let local = DisconnectReason::LocalFault(system);
                    (local.clone(), local)
                }
                _ if system.is_local_fault() => (
                    DisconnectReason::LocalFault(system),
                    DisconnectReason::Unreachable(system),
                ),
                _ => {
                    let unreachable = DisconnectReason::Unreachable(system);
                    (unreachable.clone(), unreachable)
                }
            };
            assert_eq!(
                (&at_once, &classify_error(&error, after)),
                (&expected, &later)
            );
            let is_local = matches!(at_once, DisconnectReason::LocalFault(_));
            assert!(is_local || !local.contains(&code), "{error}");
            assert_eq!(at_once.action() == DisconnectAction::RetrySoon, is_local);
            assert!(!is_local || !at_once.is_network_failure() && at_once.is_retryable());
        }
    }
}
