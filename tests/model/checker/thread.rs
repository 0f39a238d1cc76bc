//! `std::thread` with the threads of a schedule.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

pub use shuttle::thread::{
    JoinHandle, Result, Scope, ScopedJoinHandle, Thread, ThreadId, current, panicking, park, scope,
    yield_now,
};

use crate::clock::{Waiter, switch};
use crate::time::Instant;

thread_local! {
    static RUNNING: Cell<usize> = const { Cell::new(0) };
}

/// Sets the number of running threads to 0, for a new schedule.
pub(crate) fn reset() {
    RUNNING.set(0);
}

/// Returns the number of spawned threads whose closure has not returned.
pub(crate) fn running() -> usize {
    RUNNING.get()
}

/// Counts a thread as running until it is dropped.
struct Running;

impl Running {
    fn new() -> Self {
        RUNNING.set(RUNNING.get() + 1);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get().saturating_sub(1));
    }
}

#[track_caller]
pub fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let running = Running::new();
    shuttle::thread::spawn(move || {
        let result = run();
        drop(running);
        result
    })
}

pub fn sleep(duration: Duration) {
    Waiter::new().wait(Some(Instant::now() + duration));
}

/// Waits for `duration` at most. An [`unpark`](Thread::unpark) does not end the wait, which a
/// caller must expect anyway.
pub fn park_timeout(duration: Duration) {
    sleep(duration);
}

/// Configures a new thread.
#[derive(Debug, Default)]
pub struct Builder {
    name: Option<String>,
}

impl Builder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn name(mut self, name: String) -> Self {
        self.name = Some(name);
        self
    }

    /// Ignores the size. The stacks of a schedule have one size, for code without optimization.
    pub fn stack_size(self, _: usize) -> Self {
        self
    }

    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        switch();
        let running = Running::new();
        let mut builder = shuttle::thread::Builder::new();
        if let Some(name) = self.name {
            builder = builder.name(name);
        }
        builder.spawn(move || {
            let result = run();
            drop(running);
            result
        })
    }
}

/// A value of each thread of a schedule, which [`thread_local!`](crate::thread_local) declares.
pub struct LocalKey<T: 'static> {
    inner: shuttle::thread::LocalKey<T>,
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        let inner = shuttle::thread::LocalKey {
            init,
            _p: PhantomData,
        };
        Self { inner }
    }

    pub fn with<R>(&'static self, call: impl FnOnce(&T) -> R) -> R {
        self.inner.with(call)
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub fn set(&'static self, value: T) {
        self.replace(value);
    }

    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

/// Declares values that each thread of a schedule has. All of these threads share those of `std`.
#[macro_export]
macro_rules! thread_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = const $value:block;)+) => {$(
        $(#[$attribute])*
        $visibility static $name: $crate::thread::LocalKey<$type> =
            $crate::thread::LocalKey::new(|| $value);
    )+};
}
