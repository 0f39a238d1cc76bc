//! Requests in progress: sending them and waiting for their responses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::active_connection::ActiveConnection;
use super::handle::PeerConnectionHandle;
use super::peer_connection::PeerConnection;
use crate::connection::requests::{Failure, Opened, RequestError, Requests, Ticket};
use crate::deadline::deadline_after;
use crate::error::{Error, Timeout};

/// The number of progress checks per stall timeout.
const POLLS_PER_STALL: u32 = 10;

/// The timeouts of a blocking request.
#[derive(Clone, Copy)]
pub(super) struct RequestTimeout {
    pub(super) deadline: Instant,
    pub(super) duration: Duration,
    /// The maximum time without progress of the peer, if it is limited.
    stall: Option<Duration>,
}

impl RequestTimeout {
    pub(super) fn new(duration: Duration) -> Self {
        Self {
            deadline: deadline_after(duration),
            duration,
            stall: None,
        }
    }

    /// Adds a maximum time without progress of the peer.
    pub(super) fn with_stall_timeout(self, stall: Duration) -> Self {
        Self {
            stall: Some(stall),
            ..self
        }
    }
}

impl PeerConnectionHandle {
    /// Enters a request into the table of `connection` and queues its messages. `timeout` limits
    /// the wait for queue capacity.
    pub(super) fn open_request<T>(
        &self,
        connection: Arc<ActiveConnection>,
        timeout: RequestTimeout,
        open: impl FnOnce(&mut Requests) -> Result<Opened<T>, RequestError>,
    ) -> Result<PendingRequest<T>, Error> {
        let opened = connection.requests.with(open);
        let (ticket, messages) = opened.map_err(|error| error.into_error(self.name()))?;
        if let Err(error) = self.send_request(&connection, &messages, timeout) {
            connection.requests.with(|table| table.abort(ticket.id));
            return Err(error);
        }
        Ok(PendingRequest {
            peer: self.peer.clone(),
            connection,
            ticket,
            is_open: true,
        })
    }
}

/// A request in progress. Dropping it cancels it.
///
/// It acts on the connection on which it was sent, even if the peer has been reconnected since.
pub(super) struct PendingRequest<T> {
    peer: Arc<PeerConnection>,
    connection: Arc<ActiveConnection>,
    ticket: Ticket<T>,
    /// Whether the request may still be in the table.
    is_open: bool,
}

impl<T> PendingRequest<T> {
    /// Returns the channel of the response.
    pub(super) fn receiver(&self) -> &Receiver<Result<T, Failure>> {
        &self.ticket.answer
    }

    /// Waits for the response until the timeout or the stall timeout expires. A response that
    /// arrives while the request is cancelled is still returned.
    pub(super) fn wait(mut self, timeout: RequestTimeout) -> Result<T, Error> {
        match self.receive(timeout) {
            Ok(answer) => {
                self.is_open = false;
                self.result(answer)
            }
            Err((which, after)) => self.cancel(which, after),
        }
    }

    /// Cancels the request. Returns its response if it has arrived by then, or else a timeout.
    pub(super) fn cancel(mut self, which: Timeout, after: Duration) -> Result<T, Error> {
        self.leave_table();
        match self.ticket.answer.try_recv() {
            Ok(answer) => self.result(answer),
            Err(_) => Err(Error::Timeout {
                peer: self.peer.address.to_string(),
                which,
                after,
            }),
        }
    }

    /// Returns the number of bytes that were received in the middle of large frames.
    pub(super) fn large_frame_bytes(&self) -> u64 {
        self.peer.large_frame_bytes()
    }

    /// Waits for the response. Fails with the timeout that expired, and its duration.
    ///
    /// Only the arrival of a large frame counts as progress. Small frames do not, complete or not,
    /// so a live but unresponsive peer still times out.
    fn receive(&self, timeout: RequestTimeout) -> Result<Result<T, Failure>, (Timeout, Duration)> {
        let answer = &self.ticket.answer;
        let timed_out = (Timeout::Response, timeout.duration);
        let Some(stall) = timeout.stall else {
            let received = answer.recv_deadline(timeout.deadline);
            return received.map_err(|_| timed_out);
        };
        let mut seen = self.large_frame_bytes();
        let mut stalled_at = deadline_after(stall);
        loop {
            let next_poll = deadline_after(stall / POLLS_PER_STALL);
            let until = timeout.deadline.min(stalled_at).min(next_poll);
            match answer.recv_deadline(until) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => return Err(timed_out),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if now >= timeout.deadline {
                return Err(timed_out);
            }
            let received = self.large_frame_bytes();
            if received > seen {
                stalled_at = deadline_after(stall);
            }
            seen = received;
            if now >= stalled_at {
                return Err((Timeout::Stall, stall));
            }
        }
    }

    fn result(&self, answer: Result<T, Failure>) -> Result<T, Error> {
        answer.map_err(|failure| failure.into_error(self.peer.address.to_string()))
    }

    fn leave_table(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let id = self.ticket.id;
            self.connection.requests.with(|table| table.cancel(id));
        }
    }
}

impl<T> Drop for PendingRequest<T> {
    fn drop(&mut self) {
        self.leave_table();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::connection::{ConnectionConfig, PeerConnectionActor, PeerConnectionOptions};
    use crate::error::{Error, Timeout};
    use crate::network::Network;
    use crate::session::ConnectionState;
    use crate::wire::{
        Block, BlockHeader, ExpectedPayloads, Message, NetworkAddress, OutPoint, Ping, Services,
        Transaction, TransactionInput, Version, encode_frame, merkle_root,
    };

    const LIMIT: Duration = Duration::from_secs(20);
    const STALL: Duration = Duration::from_secs(1);
    /// The pause of the peer between two writes.
    const PAUSE: Duration = Duration::from_millis(250);

    fn frame(message: impl Into<Message>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_frame(Network::Regtest.magic(), &message.into(), &mut bytes);
        bytes
    }

    /// Creates a connection and the socket of its peer, which sends no responses.
    fn pair() -> (PeerConnectionHandle, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
        let address = listener.local_addr().unwrap();
        let handle = PeerConnectionActor::spawn_outbound(address, options).unwrap();
        let (mut tcp, _) = listener.accept().unwrap();
        let version = Version {
            version: crate::session::PROTOCOL_VERSION,
            services: Services::NETWORK,
            timestamp: 1_700_000_000,
            receiver: NetworkAddress::unspecified(Services::NONE),
            sender: Some(NetworkAddress::unspecified(Services::NETWORK)),
            nonce: Some(7),
            user_agent: None,
            start_height: Some(0),
            relay: Some(true),
            association_id: None,
        };
        tcp.write_all(&frame(version)).unwrap();
        tcp.write_all(&frame(Message::Verack)).unwrap();
        let deadline = Instant::now() + LIMIT;
        while handle.state() != ConnectionState::Connected {
            assert!(Instant::now() < deadline, "no handshake");
            std::thread::yield_now();
        }
        (handle, tcp)
    }

    /// Requests a block while the peer writes `pieces` with pauses in between. Returns the result
    /// and the time that it took.
    fn request_block(block: &Block, pieces: &[&[u8]]) -> (Result<Block, Error>, Duration) {
        let (handle, mut tcp) = pair();
        let began = Instant::now();
        std::thread::scope(|scope| {
            let request = scope.spawn(|| {
                let answer = handle.block_with_stall_timeout(block.hash(), LIMIT, STALL);
                (answer, began.elapsed())
            });
            tcp.set_read_timeout(Some(PAUSE)).unwrap();
            let mut unread = [0; 4096];
            for piece in pieces {
                tcp.write_all(piece).unwrap();
                let next = Instant::now() + PAUSE;
                while Instant::now() < next {
                    // Discards input until the pause is over.
                    let _ = tcp.read(&mut unread);
                }
            }
            request.join().unwrap()
        })
    }

    /// Returns a block with a script of `len` bytes.
    fn block(len: usize) -> Block {
        let transaction = Transaction {
            version: 1,
            inputs: vec![TransactionInput {
                previous: OutPoint::NULL,
                script: vec![1; len],
                sequence: 0,
            }],
            outputs: Vec::new(),
            lock_time: 0,
        };
        let (merkle_root, _) = merkle_root([transaction.txid()]);
        let header = BlockHeader {
            merkle_root,
            ..BlockHeader::genesis(&Network::Regtest)
        };
        Block::new(&header, &[transaction])
    }

    #[test]
    fn cancelled_request_expects_nothing() {
        let (handle, _tcp) = pair();
        let connection = handle.peer.current();
        let expected = || connection.session().expected_payloads();
        let open = |table: &mut Requests| table.open_block(block(90).hash());
        let timeout = RequestTimeout::new(LIMIT);
        let pending = handle.open_request(connection.clone(), timeout, open);
        assert!(expected().blocks && expected().objects == 1);
        drop(pending.unwrap());
        let late = ExpectedPayloads {
            late_blocks: 1,
            ..ExpectedPayloads::default()
        };
        assert_eq!(expected(), late);
    }

    #[test]
    fn slow_response_does_not_time_out() {
        let block = block(100_000);
        let bytes = frame(block.clone());
        let pieces: Vec<&[u8]> = bytes.chunks(bytes.len() / 12).collect();
        let (answer, after) = request_block(&block, &pieces);
        assert_eq!(answer, Ok(block));
        assert!(after > 2 * STALL, "{after:?}");
    }

    /// Asserts that a request times out while the peer sends `pieces`.
    #[track_caller]
    fn assert_stalls(pieces: &[&[u8]]) {
        let (answer, after) = request_block(&block(90), pieces);
        let is_stall = matches!(
            answer,
            Err(Error::Timeout {
                which: Timeout::Stall,
                after: STALL,
                ..
            })
        );
        assert!(is_stall, "{answer:?}");
        assert!(after >= STALL && after < 3 * STALL, "{after:?}");
    }

    #[test]
    fn peer_pings_do_not_extend_response_timeout() {
        let ping = frame(Ping::new(1));
        assert_stalls(&[&ping[..]; 12]);
    }

    #[test]
    fn extended_pings_do_not_extend_response_timeout() {
        let mut ping = Network::Regtest.magic().0.to_vec();
        ping.extend_from_slice(b"extmsg\0\0\0\0\0\0");
        ping.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        ping.extend_from_slice(b"ping\0\0\0\0\0\0\0\0");
        ping.extend_from_slice(&8_u64.to_le_bytes());
        ping.extend_from_slice(&1_u64.to_le_bytes());
        assert_stalls(&[&ping[..]; 12]);
    }

    #[test]
    fn dropped_frames_do_not_extend_response_timeout() {
        let mut ping = frame(Ping::new(1));
        ping[20] ^= 1;
        assert_stalls(&[&ping[..]; 12]);
    }

    /// Whenever the peer pauses, a ping is incomplete.
    #[test]
    fn split_pings_do_not_extend_response_timeout() {
        let ping = frame(Ping::new(1));
        let (start, end) = ping.split_at(10);
        let piece = [end, start].concat();
        let mut pieces = vec![start];
        pieces.extend([&piece[..]; 12]);
        assert_stalls(&pieces);
    }
}
