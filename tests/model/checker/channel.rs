//! The channels of `crossbeam_channel`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};

use crate::clock::{Waiter, switch};
use crate::time::Instant;

/// Creates a channel with room for `capacity` messages. If that is 0, the channel can only be
/// closed.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    channel(Some(capacity))
}

pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(None)
}

/// Returns a channel that never has a message.
pub fn never<T>() -> Receiver<T> {
    // Its sender is never dropped.
    let channel = Channel::new(Some(0));
    Receiver { channel }
}

/// Returns a channel that has one message, at `time`.
pub fn at(time: Instant) -> Receiver<Instant> {
    let channel = Channel::new(Some(1));
    {
        let mut state = channel.state();
        state.messages.push_back(time);
        state.ready_at = Some(time);
    }
    Receiver { channel }
}

/// Returns a channel that has one message, after `duration`.
pub fn after(duration: Duration) -> Receiver<Instant> {
    Instant::now().checked_add(duration).map_or_else(never, at)
}

fn channel<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let channel = Channel::new(capacity);
    let sender = Sender {
        channel: channel.clone(),
    };
    (sender, Receiver { channel })
}

struct Channel<T> {
    /// Never locked while another thread may continue.
    state: Mutex<State<T>>,
}

struct State<T> {
    messages: VecDeque<T>,
    capacity: Option<usize>,
    /// The time before which the messages are not there.
    ready_at: Option<Instant>,
    senders: usize,
    receivers: usize,
    waiting: Vec<Arc<Waiter>>,
}

impl<T> State<T> {
    fn has_room(&self) -> bool {
        self.capacity
            .is_none_or(|capacity| self.messages.len() < capacity)
    }

    /// Returns the number of messages that can be received.
    fn len(&self) -> usize {
        match self.ready_at {
            Some(time) if time > Instant::now() => 0,
            _ => self.messages.len(),
        }
    }
}

/// One side of a channel, as a thread waits for it.
pub(crate) trait Awaited {
    /// Returns whether an operation would not block.
    fn is_ready(&self) -> bool;

    /// Returns the time at which the channel is ready without another thread.
    fn ready_at(&self) -> Option<Instant> {
        None
    }

    fn add(&self, waiter: &Arc<Waiter>);

    fn remove(&self, waiter: &Arc<Waiter>);
}

/// Waits until one of `awaited` is ready, at most until `deadline`. Returns whether one is.
pub(crate) fn wait_for(awaited: &[&dyn Awaited], deadline: Option<Instant>) -> bool {
    switch();
    loop {
        if awaited.iter().any(|one| one.is_ready()) {
            return true;
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return false;
        }
        let waiter = Waiter::new();
        awaited.iter().for_each(|one| one.add(&waiter));
        let times = awaited.iter().filter_map(|one| one.ready_at());
        waiter.wait(times.chain(deadline).min());
        awaited.iter().for_each(|one| one.remove(&waiter));
    }
}

impl<T> Channel<T> {
    fn new(capacity: Option<usize>) -> Arc<Self> {
        let state = State {
            messages: VecDeque::new(),
            capacity,
            ready_at: None,
            senders: 1,
            receivers: 1,
            waiting: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, mut state: MutexGuard<'_, State<T>>) {
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.iter().for_each(|waiter| waiter.wake());
    }

    fn add(&self, waiter: &Arc<Waiter>) {
        self.state().waiting.push(waiter.clone());
    }

    fn remove(&self, waiter: &Arc<Waiter>) {
        self.state().waiting.retain(|one| !Arc::ptr_eq(one, waiter));
    }

    fn try_push(&self, message: T) -> Result<(), TrySendError<T>> {
        let mut state = self.state();
        assert_ne!(
            state.capacity,
            Some(0),
            "channels without room carry nothing"
        );
        if state.receivers == 0 {
            return Err(TrySendError::Disconnected(message));
        }
        if !state.has_room() {
            return Err(TrySendError::Full(message));
        }
        state.messages.push_back(message);
        self.wake(state);
        Ok(())
    }

    fn try_pop(&self) -> Result<T, TryRecvError> {
        let mut state = self.state();
        if state.len() == 0 {
            return Err(match state.senders {
                0 => TryRecvError::Disconnected,
                _ => TryRecvError::Empty,
            });
        }
        let message = state.messages.pop_front();
        self.wake(state);
        message.ok_or(TryRecvError::Empty)
    }
}

pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Awaited for Sender<T> {
    fn is_ready(&self) -> bool {
        let state = self.channel.state();
        state.receivers == 0 || state.has_room()
    }

    fn add(&self, waiter: &Arc<Waiter>) {
        self.channel.add(waiter);
    }

    fn remove(&self, waiter: &Arc<Waiter>) {
        self.channel.remove(waiter);
    }
}

impl<T> Sender<T> {
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        switch();
        self.channel.try_push(message)
    }

    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        wait_for(&[self], None);
        self.channel
            .try_push(message)
            .map_err(|error| SendError(error.into_inner()))
    }

    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_at_most(message, Instant::now().checked_add(timeout))
    }

    pub fn send_deadline(&self, message: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_at_most(message, Some(deadline))
    }

    fn send_at_most(
        &self,
        message: T,
        deadline: Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        wait_for(&[self], deadline);
        self.channel.try_push(message).map_err(|error| match error {
            TrySendError::Full(message) => SendTimeoutError::Timeout(message),
            TrySendError::Disconnected(message) => SendTimeoutError::Disconnected(message),
        })
    }

    pub fn len(&self) -> usize {
        switch();
        self.channel.state().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_full(&self) -> bool {
        switch();
        !self.channel.state().has_room()
    }

    pub fn capacity(&self) -> Option<usize> {
        self.channel.state().capacity
    }

    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }

    /// Sends after [`Select`](crate::Select) found room.
    pub(crate) fn send_selected(&self, message: T) -> Result<(), SendError<T>> {
        self.channel.try_push(message).map_err(|error| match error {
            TrySendError::Full(_) => unreachable!("the channel has room"),
            TrySendError::Disconnected(message) => SendError(message),
        })
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.channel.state().senders += 1;
        Self {
            channel: self.channel.clone(),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.channel.state();
        state.senders -= 1;
        if state.senders == 0 {
            self.channel.wake(state);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Awaited for Receiver<T> {
    fn is_ready(&self) -> bool {
        let state = self.channel.state();
        state.len() > 0 || state.senders == 0
    }

    fn ready_at(&self) -> Option<Instant> {
        let state = self.channel.state();
        state.ready_at.filter(|_| !state.messages.is_empty())
    }

    fn add(&self, waiter: &Arc<Waiter>) {
        self.channel.add(waiter);
    }

    fn remove(&self, waiter: &Arc<Waiter>) {
        self.channel.remove(waiter);
    }
}

impl<T> Receiver<T> {
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        switch();
        self.channel.try_pop()
    }

    pub fn recv(&self) -> Result<T, RecvError> {
        wait_for(&[self], None);
        self.recv_selected()
    }

    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_at_most(Instant::now().checked_add(timeout))
    }

    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_at_most(Some(deadline))
    }

    fn recv_at_most(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        wait_for(&[self], deadline);
        self.channel.try_pop().map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    pub fn len(&self) -> usize {
        switch();
        self.channel.state().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_full(&self) -> bool {
        switch();
        !self.channel.state().has_room()
    }

    pub fn capacity(&self) -> Option<usize> {
        self.channel.state().capacity
    }

    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }

    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// Receives after [`Select`](crate::Select) found a message or the end of the channel.
    pub(crate) fn recv_selected(&self) -> Result<T, RecvError> {
        self.channel.try_pop().map_err(|error| {
            assert_eq!(error, TryRecvError::Disconnected, "the channel is ready");
            RecvError
        })
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.state().receivers += 1;
        Self {
            channel: self.channel.clone(),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.channel.state();
        state.receivers -= 1;
        if state.receivers == 0 {
            // Dropping a message may use the channel.
            let messages = std::mem::take(&mut state.messages);
            self.channel.wake(state);
            drop(messages);
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
