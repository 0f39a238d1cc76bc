//! Explores schedules of the threads of the library.
//!
//! The root of this crate has the names of `std`, `parking_lot`, `crossbeam_channel` and `socket2`
//! that the library uses, on top of the threads of `shuttle`. A crate that declares it under these
//! names compiles unchanged sources of the library with them:
//!
//! ```ignore
//! extern crate model_checker as std;
//! extern crate model_checker as parking_lot;
//! extern crate model_checker as crossbeam_channel;
//! ```
//!
//! All threads of a schedule run on one thread of the system, one at a time. Locks, channels,
//! atomics, sockets and thread operations are the points at which another thread may continue.
//! Atomics are sequentially consistent. Time is virtual: see [`explore`].
//!
//! Primitives of `std` that block and have no replacement here do not exist, so that a use of them
//! does not compile.

mod channel;
mod clock;
mod explore;
mod lock;
pub mod net;
mod select;
mod socket;
pub mod thread;
pub mod time;

pub mod sync {
    //! `std::sync` without the primitives that block.

    pub use std::sync::{Arc, LazyLock, OnceLock, PoisonError, Weak};

    pub mod atomic {
        //! Sequentially consistent atomics. Each operation is a scheduling point.

        pub use shuttle::sync::atomic::*;
    }
}

pub use std::*;

pub use channel::{
    IntoIter, Iter, Receiver, Sender, TryIter, after, at, bounded, never, unbounded,
};
pub use crossbeam_channel::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError,
    SendTimeoutError, TryReadyError, TryRecvError, TrySelectError, TrySendError,
};
pub use explore::{choose, elapsed, explore, pass_time_anytime};
pub use lock::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, WaitTimeoutResult,
};
pub use select::{Select, SelectedOperation};
pub use socket::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
