//! Waits for the first of several channel operations.

use std::time::Duration;

use crossbeam_channel::{
    ReadyTimeoutError, RecvError, SelectTimeoutError, SendError, TryReadyError, TrySelectError,
};

use crate::channel::{Awaited, Receiver, Sender, wait_for};
use crate::explore::choose;
use crate::time::Instant;

/// A set of channel operations. If several are ready, any of them is chosen.
#[derive(Default)]
pub struct Select<'a> {
    /// An operation that was removed is `None`.
    awaited: Vec<Option<&'a dyn Awaited>>,
}

impl<'a> Select<'a> {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.awaited.push(Some(receiver));
        self.awaited.len() - 1
    }

    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.awaited.push(Some(sender));
        self.awaited.len() - 1
    }

    pub fn remove(&mut self, index: usize) {
        self.awaited[index] = None;
    }

    pub fn ready(&mut self) -> usize {
        self.wait(None).expect("one operation is ready")
    }

    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.wait(Some(Instant::now())).ok_or(TryReadyError)
    }

    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.wait(Instant::now().checked_add(timeout))
            .ok_or(ReadyTimeoutError)
    }

    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.wait(Some(deadline)).ok_or(ReadyTimeoutError)
    }

    pub fn select(&mut self) -> SelectedOperation {
        SelectedOperation {
            index: self.ready(),
        }
    }

    pub fn try_select(&mut self) -> Result<SelectedOperation, TrySelectError> {
        let index = self.try_ready().map_err(|_| TrySelectError)?;
        Ok(SelectedOperation { index })
    }

    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation, SelectTimeoutError> {
        let index = self
            .ready_timeout(timeout)
            .map_err(|_| SelectTimeoutError)?;
        Ok(SelectedOperation { index })
    }

    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation, SelectTimeoutError> {
        let index = self
            .ready_deadline(deadline)
            .map_err(|_| SelectTimeoutError)?;
        Ok(SelectedOperation { index })
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Option<usize> {
        let awaited: Vec<&dyn Awaited> = self.awaited.iter().copied().flatten().collect();
        if !wait_for(&awaited, deadline) {
            return None;
        }
        let is_ready = |one: &Option<&dyn Awaited>| one.is_some_and(|one| one.is_ready());
        let ready: Vec<usize> = (0..self.awaited.len())
            .filter(|index| is_ready(&self.awaited[*index]))
            .collect();
        Some(ready[choose(ready.len())])
    }
}

/// An operation that does not block.
#[must_use]
pub struct SelectedOperation {
    index: usize,
}

impl SelectedOperation {
    pub fn index(&self) -> usize {
        self.index
    }

    pub fn recv<T>(self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        receiver.recv_selected()
    }

    pub fn send<T>(self, sender: &Sender<T>, message: T) -> Result<(), SendError<T>> {
        sender.send_selected(message)
    }
}

/// Waits for the first of several channel operations. The expressions of channels are evaluated
/// twice.
#[macro_export]
macro_rules! select {
    // Parses the operations into a list, and the last one may be `default`.
    (@parse [$($arms:tt)*] recv($channel:expr) -> $result:pat => $body:block $(,)? $($rest:tt)*) => {
        $crate::select!(@parse [$($arms)* { recv ($channel) ($result) ($body) }] $($rest)*)
    };
    (@parse [$($arms:tt)*] recv($channel:expr) -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::select!(@parse [$($arms)* { recv ($channel) ($result) ($body) }] $($rest)*)
    };
    (@parse [$($arms:tt)*] recv($channel:expr) -> $result:pat => $body:expr) => {
        $crate::select!(@parse [$($arms)* { recv ($channel) ($result) ($body) }])
    };
    (@parse [$($arms:tt)*] send($channel:expr, $message:expr) -> $result:pat => $body:block $(,)? $($rest:tt)*) => {
        $crate::select!(@parse [$($arms)* { send ($channel, $message) ($result) ($body) }] $($rest)*)
    };
    (@parse [$($arms:tt)*] send($channel:expr, $message:expr) -> $result:pat => $body:expr, $($rest:tt)*) => {
        $crate::select!(@parse [$($arms)* { send ($channel, $message) ($result) ($body) }] $($rest)*)
    };
    (@parse [$($arms:tt)*] default => $body:expr $(,)?) => {
        $crate::select!(@run (try_select()) ($body) [$($arms)*])
    };
    (@parse [$($arms:tt)*] default($timeout:expr) => $body:expr $(,)?) => {
        $crate::select!(@run (select_timeout($timeout)) ($body) [$($arms)*])
    };
    (@parse [$($arms:tt)*]) => {
        $crate::select!(@run
            (select_deadline_or_never())
            (unreachable!("one operation is ready"))
            [$($arms)*])
    };
    (@run ($wait:ident($($timeout:expr)?)) ($default:expr) [$($arms:tt)*]) => {{
        let mut select = $crate::Select::new();
        $($crate::select!(@add select $arms);)*
        match select.$wait($($timeout)?) {
            Err(_) => $default,
            Ok(operation) => $crate::select!(@match operation 0usize; $($arms)*),
        }
    }};
    (@add $select:ident { recv ($channel:expr) $result:tt $body:tt }) => {
        $select.recv(&$channel)
    };
    (@add $select:ident { send ($channel:expr, $message:expr) $result:tt $body:tt }) => {
        $select.send(&$channel)
    };
    (@match $operation:ident $index:expr; { recv ($channel:expr) ($result:pat) ($body:expr) } $($rest:tt)*) => {
        if $operation.index() == $index {
            let $result = $operation.recv(&$channel);
            $body
        } else {
            $crate::select!(@match $operation $index + 1; $($rest)*)
        }
    };
    (@match $operation:ident $index:expr; { send ($channel:expr, $message:expr) ($result:pat) ($body:expr) } $($rest:tt)*) => {
        if $operation.index() == $index {
            let $result = $operation.send(&$channel, $message);
            $body
        } else {
            $crate::select!(@match $operation $index + 1; $($rest)*)
        }
    };
    (@match $operation:ident $index:expr;) => {
        unreachable!("no operation {}", $operation.index())
    };
    ($($tokens:tt)+) => {
        $crate::select!(@parse [] $($tokens)+)
    };
}

impl Select<'_> {
    /// Waits without a deadline, for [`select!`].
    #[doc(hidden)]
    pub fn select_deadline_or_never(&mut self) -> Result<SelectedOperation, SelectTimeoutError> {
        Ok(self.select())
    }
}
