//! Structures of connections that several threads share, in schedules of the checker.
//!
//! This library includes their sources, so that a check can call private functions. Unit tests of
//! the sources are not part of it. The functions of its modules are checks, which the test program
//! runs.

#![allow(dead_code, reason = "parts of the sources are not checked")]

#[macro_use]
extern crate model_checker as std;
extern crate model_checker as crossbeam_channel;
extern crate model_checker as parking_lot;

pub mod connection;
#[path = "../../../src/deadline.rs"]
mod deadline;

mod session {
    //! The reasons that the checks use.

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) enum DisconnectReason {
        ConnectionReset,
        Requested,
        Shutdown,
    }
}

mod wire {
    //! The streams of a connection.

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum StreamType {
        General,
        Data1,
    }
}
