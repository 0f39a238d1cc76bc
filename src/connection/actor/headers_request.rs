//! Header requests of any thread: blocking ones, and one that a thread polls with others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::active_connection::ActiveConnection;
use super::handle::PeerConnectionHandle;
use super::pending_request::{PendingRequest, RequestTimeout};
use super::request_table::HeadersLock;
use crate::connection::requests::{Failure, Requests, check_supported};
use crate::error::{Error, Timeout};
use crate::session::PeerRequest;
use crate::wire::{BlockHash, BlockHeader};

impl PeerConnectionHandle {
    /// Requests the headers that follow `locator` on the peer's chain, up to `stop` or, if that is
    /// zero, the peer's tip.
    ///
    /// [`Connection::headers`](crate::Connection::headers) documents the result. Header requests of
    /// one connection are sent one at a time: further callers wait. Blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// - [`Error::NotSupportedByPeer`] if the locator is empty and the peer is a Teranode.
    /// - [`Error::Send`] if the handshake is not complete, or the locator is too long for
    ///   the peer.
    /// - [`Error::PayloadTooLarge`] if the response is above `limits.buffered`.
    /// - [`Error::TooManyRequests`] if 1,024 requests are open on the connection.
    /// - [`Error::Timeout`] if no response arrives in time, or other header requests take all of
    ///   the time.
    /// - [`Error::Disconnected`] if the connection is closed.
    pub fn headers(
        &self,
        locator: &[BlockHash],
        stop: BlockHash,
        timeout: Duration,
    ) -> Result<Vec<BlockHeader>, Error> {
        let (connection, timeout) = (self.peer.current(), RequestTimeout::new(timeout));
        let lock = connection.requests.headers_lock(timeout.deadline);
        let lock = lock.ok_or_else(|| self.timed_out(Timeout::RequestQueue, timeout))?;
        let locator = locator.to_vec();
        let request = self.open_headers_request(connection, lock, locator, stop, timeout)?;
        request.pending.wait(timeout)
    }

    /// Starts a request for the headers after `locator` without waiting for its answer or for
    /// anything else.
    ///
    /// [`Connection::headers`](crate::Connection::headers) documents the answer.
    ///
    /// # Errors
    ///
    /// - [`StartHeadersError::Busy`] if another header request of this connection is in progress,
    ///   or its send queue is full
    /// - [`StartHeadersError::Failed`] with the errors of [`PeerConnectionHandle::headers`]
    pub(crate) fn start_headers(
        &self,
        locator: Vec<BlockHash>,
    ) -> Result<HeadersRequest, StartHeadersError> {
        let (connection, at_once) = (self.peer.current(), RequestTimeout::new(Duration::ZERO));
        let lock = connection.requests.headers_lock(at_once.deadline);
        let lock = lock.ok_or(StartHeadersError::Busy)?;
        let started =
            self.open_headers_request(connection, lock, locator, BlockHash::ZERO, at_once);
        started.map_err(|error| match error {
            Error::Timeout { .. } => StartHeadersError::Busy,
            error => StartHeadersError::Failed(error),
        })
    }

    /// Queues the messages of a header request. `timeout` limits the wait for queue capacity.
    fn open_headers_request(
        &self,
        connection: Arc<ActiveConnection>,
        lock: HeadersLock,
        locator: Vec<BlockHash>,
        stop: BlockHash,
        timeout: RequestTimeout,
    ) -> Result<HeadersRequest, Error> {
        if locator.is_empty() {
            let session = connection.session();
            check_supported(&session, PeerRequest::HeaderByHash, || self.name())?;
        }
        let needs_fence = connection.requests.with(|table| table.headers_need_fence());
        let fence = needs_fence.then(|| connection.session().ping(Instant::now()));
        let open = |table: &mut Requests| table.open_headers(locator, stop, fence);
        Ok(HeadersRequest {
            pending: self.open_request(connection, timeout, open)?,
            started: Instant::now(),
            _lock: lock,
        })
    }
}

/// Why a header request was not started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartHeadersError {
    /// Another header request of the connection is in progress, or its send queue is full.
    #[error("another header request is in progress or the send queue is full")]
    Busy,
    /// The request cannot be sent on this connection.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A header request in progress.
///
/// A connection has one at a time: no other header request starts until this one is dropped.
/// Dropping it cancels it. An answer that arrives later is an ordinary message, as after a timeout.
/// A request does not keep the connection or its threads alive.
pub(crate) struct HeadersRequest {
    pending: PendingRequest<Vec<BlockHeader>>,
    started: Instant,
    /// Dropped after the request is cancelled.
    _lock: HeadersLock,
}

impl HeadersRequest {
    /// Returns a channel that becomes ready once: when the answer arrives, or the connection ends.
    ///
    /// Use it only to wait, for example with [`Select::ready`](crossbeam_channel::Select::ready).
    /// Receiving from it takes the answer away from [`HeadersRequest::take`].
    pub(crate) fn receiver(&self) -> &Receiver<Result<Vec<BlockHeader>, Failure>> {
        self.pending.receiver()
    }

    /// Returns the answer, or cancels the request if there is none yet. Does not block.
    ///
    /// # Errors
    ///
    /// - [`Error::Timeout`] if there is no answer yet, with the time since the start
    /// - [`Error::Disconnected`] if the connection has ended
    /// - [`Error::PayloadTooLarge`] if the answer is above `limits.buffered`
    pub(crate) fn take(self) -> Result<Vec<BlockHeader>, Error> {
        self.pending
            .cancel(Timeout::Response, self.started.elapsed())
    }

    /// Returns how many bytes the peer has sent in the middle of large frames so far.
    ///
    /// A growing number means that a large message is arriving, perhaps the answer. The peer is
    /// then slow, but has not stalled.
    pub(crate) fn large_frame_bytes(&self) -> u64 {
        self.pending.large_frame_bytes()
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::Select;

    use super::super::test_pair::{LIMIT, Pair};
    use super::*;
    use crate::connection::ConnectionConfig;
    use crate::network::Network;
    use crate::wire::{Command, Headers, Message};

    const SHORT: Duration = Duration::from_millis(50);

    impl Pair {
        fn start(&self) -> Result<HeadersRequest, StartHeadersError> {
            self.handle.start_headers(vec![genesis().hash()])
        }

        /// Reads the messages of the peer up to the next `getheaders`.
        fn expect_getheaders(&mut self) {
            loop {
                let message = self.peer.receive_timeout(LIMIT).unwrap();
                if let Message::GetHeaders(getheaders) = message.expect("a getheaders") {
                    assert_eq!(getheaders.locator, [genesis().hash()]);
                    return;
                }
            }
        }

        fn send_headers(&mut self, headers: &[BlockHeader]) {
            let headers = headers.to_vec();
            self.peer.send_unchecked(Headers { headers }).unwrap();
        }
    }

    fn pair() -> Pair {
        Pair::new(ConnectionConfig::new(Network::Regtest))
    }

    fn genesis() -> BlockHeader {
        BlockHeader::genesis(&Network::Regtest)
    }

    fn header(nonce: u32) -> BlockHeader {
        BlockHeader {
            previous: genesis().hash(),
            nonce,
            ..genesis()
        }
    }

    /// Waits for the answer with a `Select`, like a thread with many requests.
    fn wait_until_ready(request: &HeadersRequest) {
        let mut select = Select::new();
        select.recv(request.receiver());
        assert!(select.ready_timeout(LIMIT).is_ok());
    }

    #[test]
    fn headers_request_moves_to_another_thread() {
        let mut pair = pair();
        let request = pair.start().unwrap();
        pair.expect_getheaders();
        let waiting = std::thread::spawn(move || {
            wait_until_ready(&request);
            request.take()
        });
        pair.send_headers(&[header(1)]);
        assert_eq!(waiting.join().unwrap(), Ok(vec![header(1)]));
    }

    #[test]
    fn second_headers_request_is_busy_until_first_drops() {
        let mut pair = pair();
        let first = pair.start().unwrap();
        assert_eq!(pair.start().err(), Some(StartHeadersError::Busy));
        let blocked = pair.handle.headers(&[], genesis().hash(), SHORT);
        let timed_out = Error::Timeout {
            peer: pair.handle.peer_addr().to_string(),
            which: Timeout::RequestQueue,
            after: SHORT,
        };
        assert_eq!(blocked, Err(timed_out));
        pair.expect_getheaders();
        pair.send_headers(&[header(1)]);
        wait_until_ready(&first);
        // An unread answer keeps the lock.
        assert_eq!(pair.start().err(), Some(StartHeadersError::Busy));
        drop(first);

        let second = pair.start().unwrap();
        pair.expect_getheaders();
        pair.send_headers(&[header(2)]);
        wait_until_ready(&second);
        assert_eq!(second.take(), Ok(vec![header(2)]));
    }

    #[test]
    fn late_answer_of_cancelled_headers_request_is_delivered() {
        let mut pair = pair();
        let cancelled = pair.start().unwrap();
        pair.expect_getheaders();
        let result = cancelled.take();
        let is_timeout = |which: &Timeout| *which == Timeout::Response;
        assert!(
            matches!(&result, Err(Error::Timeout { which, .. }) if is_timeout(which)),
            "{result:?}"
        );
        pair.send_headers(&[header(1)]);

        let next = pair.start().unwrap();
        pair.expect_getheaders();
        pair.send_headers(&[header(2)]);
        wait_until_ready(&next);
        assert_eq!(next.take(), Ok(vec![header(2)]));
        let late = loop {
            let event = pair.messages.recv_timeout(LIMIT).unwrap();
            if let Message::Headers(late) = &*event.message {
                break late.headers.clone();
            }
        };
        assert_eq!(late, [header(1)]);
    }

    #[test]
    fn disconnect_ends_headers_request() {
        let Pair { handle, peer, .. } = pair();
        let request = handle.start_headers(vec![genesis().hash()]).unwrap();
        drop(peer);
        wait_until_ready(&request);
        let result = request.take();
        assert!(
            matches!(result, Err(Error::Disconnected { .. })),
            "{result:?}"
        );
        let again = handle.start_headers(vec![genesis().hash()]);
        assert!(matches!(
            again.err(),
            Some(StartHeadersError::Failed(Error::Disconnected { .. }))
        ));
        // A request does not keep the connection open.
        let other = pair();
        let request = other.start().unwrap();
        drop(other.handle);
        assert!(request.take().is_err());
    }

    #[test]
    fn headers_request_with_full_send_queue_sends_nothing() {
        let mut config = ConnectionConfig::new(Network::Regtest);
        config.max_send_queue_messages = 4;
        let mut pair = Pair::new(config);
        // The peer does not read. Its socket buffers some of these, the queue the rest.
        let large = Message::Unknown {
            command: const { Command::new("test") },
            payload: vec![0; 1024 * 1024].into(),
        };
        let mut sent = 0;
        while pair.handle.try_send(&large).is_ok() {
            sent += 1;
        }
        assert_eq!(pair.start().err(), Some(StartHeadersError::Busy));
        while sent > 0 {
            match pair.peer.receive().unwrap() {
                Message::GetHeaders(getheaders) => panic!("it was sent: {getheaders:?}"),
                message => sent -= usize::from(message == large),
            }
        }
        // The failed start released the lock.
        let request = pair.start().unwrap();
        pair.expect_getheaders();
        pair.send_headers(&[header(1)]);
        wait_until_ready(&request);
    }
}
