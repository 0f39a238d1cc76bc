//! The locks of `parking_lot`: without poisoning, and with guards that are passed to conditions by
//! reference.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::clock::{Waiter, switch};
use crate::explore::choose;
use crate::time::Instant;

pub struct Mutex<T: ?Sized> {
    /// The threads that wait for the lock until a deadline.
    waiting: std::sync::Mutex<Vec<Arc<Waiter>>>,
    inner: shuttle::sync::Mutex<T>,
}

impl<T> Mutex<T> {
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self {
            waiting: std::sync::Mutex::new(Vec::new()),
            inner: shuttle::sync::Mutex::new(value),
        }
    }

    pub fn into_inner(self) -> T {
        let inner = self.inner.into_inner();
        inner.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> Mutex<T> {
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let inner = self.inner.lock();
        MutexGuard {
            mutex: self,
            inner: Some(inner.unwrap_or_else(PoisonError::into_inner)),
        }
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        use std::sync::TryLockError;
        let inner = match self.inner.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard {
            mutex: self,
            inner: Some(inner),
        })
    }

    pub fn try_lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, T>> {
        loop {
            if let Some(guard) = self.try_lock() {
                return Some(guard);
            }
            if deadline <= Instant::now() {
                return None;
            }
            let waiter = Waiter::new();
            self.waiting().push(waiter.clone());
            waiter.wait(Some(deadline));
            self.waiting().retain(|one| !Arc::ptr_eq(one, &waiter));
        }
    }

    pub fn try_lock_for(&self, timeout: Duration) -> Option<MutexGuard<'_, T>> {
        self.try_lock_until(Instant::now() + timeout)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Waiter>>> {
        let waiting = self.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get_mut(&mut self) -> &mut T {
        let inner = self.inner.get_mut();
        inner.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// `None` only while the lock is released for a moment.
    inner: Option<shuttle::sync::MutexGuard<'a, T>>,
}

impl<T: ?Sized> MutexGuard<'_, T> {
    pub fn unlocked<U>(guard: &mut Self, run: impl FnOnce() -> U) -> U {
        guard.release();
        let result = run();
        guard.inner = guard.mutex.lock().inner.take();
        result
    }
}

impl<T: ?Sized> MutexGuard<'_, T> {
    fn release(&mut self) {
        self.inner = None;
        let waiting = std::mem::take(&mut *self.mutex.waiting());
        waiting.iter().for_each(|waiter| waiter.wake());
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.release();
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("the lock is held")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("the lock is held")
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A condition. A wait ends only by a notification or at its deadline.
///
/// [`Condvar::notify_one`] wakes any of the waiting threads, since its documentation promises no
/// order.
#[derive(Default)]
pub struct Condvar {
    waiting: std::sync::Mutex<Vec<Arc<Waiter>>>,
}

impl Condvar {
    pub const fn new() -> Self {
        Self {
            waiting: std::sync::Mutex::new(Vec::new()),
        }
    }

    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_at_most(guard, None);
    }

    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        self.wait_at_most(guard, Some(deadline))
    }

    pub fn wait_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        // Like `parking_lot`, a timeout without an end is none.
        self.wait_at_most(guard, Instant::now().checked_add(timeout))
    }

    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(guard) {
            self.wait(guard);
        }
    }

    pub fn wait_while_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        while condition(guard) {
            if self.wait_until(guard, deadline).timed_out() {
                return WaitTimeoutResult(condition(guard));
            }
        }
        WaitTimeoutResult(false)
    }

    pub fn notify_one(&self) -> bool {
        switch();
        let chosen = {
            let mut waiting = self.waiting();
            if waiting.is_empty() {
                return false;
            }
            let chosen = choose(waiting.len());
            waiting.remove(chosen)
        };
        chosen.wake();
        true
    }

    pub fn notify_all(&self) -> usize {
        switch();
        let all = std::mem::take(&mut *self.waiting());
        all.iter().for_each(|waiter| waiter.wake());
        all.len()
    }

    fn wait_at_most<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<Instant>,
    ) -> WaitTimeoutResult {
        // The caller has checked its condition. A notification without the lock is lost here.
        switch();
        let waiter = Waiter::new();
        self.waiting().push(waiter.clone());
        let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let mut timed_out = false;
        MutexGuard::unlocked(guard, || {
            if !is_over {
                waiter.wait(deadline);
            }
            // A notification removes the waiter. After a timeout, one that precedes the lock is
            // lost.
            let mut waiting = self.waiting();
            let place = waiting.iter().position(|one| Arc::ptr_eq(one, &waiter));
            if let Some(place) = place {
                waiting.remove(place);
            }
            timed_out = place.is_some();
        });
        WaitTimeoutResult(timed_out)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Waiter>>> {
        let waiting = self.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub fn timed_out(self) -> bool {
        self.0
    }
}

#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    inner: shuttle::sync::RwLock<T>,
}

impl<T> RwLock<T> {
    #[track_caller]
    pub const fn new(value: T) -> Self {
        Self {
            inner: shuttle::sync::RwLock::new(value),
        }
    }

    pub fn into_inner(self) -> T {
        let inner = self.inner.into_inner();
        inner.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> RwLock<T> {
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get_mut(&mut self) -> &mut T {
        let inner = self.inner.get_mut();
        inner.unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").finish_non_exhaustive()
    }
}

pub type RwLockReadGuard<'a, T> = shuttle::sync::RwLockReadGuard<'a, T>;
pub type RwLockWriteGuard<'a, T> = shuttle::sync::RwLockWriteGuard<'a, T>;
