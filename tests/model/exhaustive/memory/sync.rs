//! The locks and atomics of the pool, on top of `loom`.
//!
//! `loom` orders sequentially consistent loads and stores only by acquire and release, so a load
//! may return an old value. A read-modify-write operation in their place uses the latest value.

pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::Ordering;

use std::sync::PoisonError;

macro_rules! atomic_integer {
    ($name:ident, $value:ty) => {
        pub(super) struct $name(loom::sync::atomic::$name);

        #[allow(
            dead_code,
            reason = "the pool does not use all operations of each integer"
        )]
        impl $name {
            pub(super) fn new(value: $value) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }

            pub(super) fn load(&self, order: Ordering) -> $value {
                self.0.fetch_add(0, order)
            }

            pub(super) fn store(&self, value: $value, order: Ordering) {
                self.0.swap(value, order);
            }

            pub(super) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_add(value, order)
            }

            pub(super) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_sub(value, order)
            }

            pub(super) fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_max(value, order)
            }

            pub(super) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.0.compare_exchange(current, new, success, failure)
            }

            pub(super) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                update: impl Fn($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut current = self.load(success);
                loop {
                    let new = update(current).ok_or(current)?;
                    match self.compare_exchange(current, new, success, failure) {
                        Ok(before) => return Ok(before),
                        Err(changed) => current = changed,
                    }
                }
            }
        }
    };
}

atomic_integer!(AtomicU64, u64);
atomic_integer!(AtomicUsize, usize);

pub(super) struct AtomicBool(loom::sync::atomic::AtomicBool);

impl AtomicBool {
    pub(super) fn new(value: bool) -> Self {
        Self(loom::sync::atomic::AtomicBool::new(value))
    }

    pub(super) fn load(&self, order: Ordering) -> bool {
        self.0.fetch_or(false, order)
    }

    pub(super) fn store(&self, value: bool, order: Ordering) {
        self.0.swap(value, order);
    }

    pub(super) fn swap(&self, value: bool, order: Ordering) -> bool {
        self.0.swap(value, order)
    }
}

pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
