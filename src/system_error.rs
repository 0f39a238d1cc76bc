//! Errors that the operating system reports.

use std::fmt;
use std::io;

/// An error of the operating system, with its number.
///
/// Displays the text of the system and the number, such as `Too many open files (os error 24)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SystemError {
    /// The number of the error (`errno` on Unix). `None` if the system gave no number.
    pub code: Option<i32>,
    /// The portable kind of the error.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::serde_util::io_kind")
    )]
    pub kind: io::ErrorKind,
}

impl SystemError {
    /// Returns whether the process or the system is out of descriptors, buffers or memory.
    pub fn is_out_of_resources(self) -> bool {
        self.kind == io::ErrorKind::OutOfMemory || self.has_code(&codes::OUT_OF_RESOURCES)
    }

    /// Returns whether this host caused the error. The error must be the immediate result of
    /// creating, binding or connecting a socket.
    ///
    /// The causes are exhausted resources, a missing route, no usable local address, a missing
    /// permission, and an address that this host cannot use. `EHOSTUNREACH` is not included,
    /// because it may also mean that the peer is down.
    pub fn is_local_fault(self) -> bool {
        use io::ErrorKind::{
            AddrInUse, AddrNotAvailable, InvalidInput, NetworkDown, NetworkUnreachable,
            PermissionDenied,
        };
        self.is_out_of_resources()
            || self.has_code(&codes::NO_ADDRESS_FAMILY)
            || matches!(
                self.kind,
                AddrInUse
                    | AddrNotAvailable
                    | InvalidInput
                    | NetworkDown
                    | NetworkUnreachable
                    | PermissionDenied
            )
    }

    fn has_code(self, codes: &[i32]) -> bool {
        self.code.is_some_and(|code| codes.contains(&code))
    }
}

impl From<&io::Error> for SystemError {
    fn from(error: &io::Error) -> Self {
        Self {
            code: error.raw_os_error(),
            kind: error.kind(),
        }
    }
}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

impl From<io::ErrorKind> for SystemError {
    fn from(kind: io::ErrorKind) -> Self {
        Self { code: None, kind }
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => io::Error::from_raw_os_error(code).fmt(f),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for SystemError {}

/// The numbers of errors that [`io::ErrorKind`] does not distinguish.
#[cfg(unix)]
mod codes {
    pub(super) const OUT_OF_RESOURCES: [i32; 4] =
        [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    pub(super) const NO_ADDRESS_FAMILY: [i32; 1] = [libc::EAFNOSUPPORT];
}

/// The numbers of Windows Sockets errors.
#[cfg(not(unix))]
mod codes {
    /// `WSAEMFILE`, `WSAENOBUFS`.
    pub(super) const OUT_OF_RESOURCES: [i32; 2] = [10024, 10055];
    /// `WSAEAFNOSUPPORT`.
    pub(super) const NO_ADDRESS_FAMILY: [i32; 1] = [10047];
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const OUT_OF_RESOURCES: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    const OTHER_LOCAL_FAULTS: [i32; 8] = [
        libc::EADDRNOTAVAIL,
        libc::EADDRINUSE,
        libc::EACCES,
        libc::EPERM,
        libc::ENETUNREACH,
        libc::ENETDOWN,
        libc::EINVAL,
        libc::EAFNOSUPPORT,
    ];

    #[test]
    fn every_error_number_has_its_cause() {
        // All numbers of Linux; other systems have fewer.
        for code in 1..=133 {
            let error = SystemError::from(io::Error::from_raw_os_error(code));
            let is_out_of_resources = OUT_OF_RESOURCES.contains(&code);
            assert_eq!(error.is_out_of_resources(), is_out_of_resources, "{error}");
            let is_local = is_out_of_resources || OTHER_LOCAL_FAULTS.contains(&code);
            assert_eq!(error.is_local_fault(), is_local, "{error}");
        }
        let unreachable = io::Error::from_raw_os_error(libc::EHOSTUNREACH);
        assert!(!SystemError::from(unreachable).is_local_fault());
    }

    #[test]
    fn text_contains_the_number() {
        let error = SystemError::from(io::Error::from_raw_os_error(libc::EMFILE));
        let number = format!("(os error {})", libc::EMFILE);
        assert!(error.to_string().ends_with(&number), "{error}");
        let kind = io::ErrorKind::TimedOut;
        assert_eq!(SystemError::from(kind).to_string(), kind.to_string());
    }
}
