//! Waits for a response, with a limit for the time without progress.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::handle::PeerConnectionHandle;
use crate::deadline::deadline_after;

/// The number of progress checks per stall timeout.
const POLLS_PER_STALL: u32 = 10;

/// The timeouts of a blocking request.
#[derive(Clone, Copy)]
pub(super) struct RequestTimeout {
    pub(super) deadline: Instant,
    pub(super) duration: Duration,
    /// The maximum time without progress of the peer, if it is limited.
    pub(super) stall: Option<Duration>,
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

/// Why the wait for a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitError {
    /// The timeout of the caller expired.
    Timeout,
    /// Neither the response nor a part of a large frame arrived for this time.
    Stalled(Duration),
}

impl PeerConnectionHandle {
    /// Waits for a response until the timeout or the stall timeout of the caller expires.
    ///
    /// Only the arrival of a large frame counts as progress. Small frames do not, complete or not,
    /// so a live but unresponsive peer still times out.
    pub(super) fn receive<T>(
        &self,
        answer: &Receiver<T>,
        timeout: RequestTimeout,
    ) -> Result<T, WaitError> {
        let Some(stall) = timeout.stall else {
            let received = answer.recv_deadline(timeout.deadline);
            return received.map_err(|_| WaitError::Timeout);
        };
        let mut seen = self.peer.large_frame_bytes();
        let mut stalled_at = deadline_after(stall);
        loop {
            let next_poll = deadline_after(stall / POLLS_PER_STALL);
            let until = timeout.deadline.min(stalled_at).min(next_poll);
            match answer.recv_deadline(until) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => return Err(WaitError::Timeout),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if now >= timeout.deadline {
                return Err(WaitError::Timeout);
            }
            let received = self.peer.large_frame_bytes();
            if received > seen {
                stalled_at = deadline_after(stall);
            }
            seen = received;
            if now >= stalled_at {
                return Err(WaitError::Stalled(stall));
            }
        }
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
        Block, BlockHeader, Message, NetworkAddress, OutPoint, Ping, Services, Transaction,
        TransactionInput, Version, encode_frame, merkle_root,
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
        let setup = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
        let address = listener.local_addr().unwrap();
        let handle = PeerConnectionActor::spawn_outbound(address, setup).unwrap();
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
    fn ask(block: &Block, pieces: &[&[u8]]) -> (Result<Block, Error>, Duration) {
        let (handle, mut tcp) = pair();
        let began = Instant::now();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
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
            asked.join().unwrap()
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
    fn slow_response_does_not_time_out() {
        let block = block(100_000);
        let bytes = frame(block.clone());
        let pieces: Vec<&[u8]> = bytes.chunks(bytes.len() / 12).collect();
        let (answer, after) = ask(&block, &pieces);
        assert_eq!(answer, Ok(block));
        assert!(after > 2 * STALL, "{after:?}");
    }

    /// Asserts that a request times out while the peer sends `pieces`.
    #[track_caller]
    fn assert_stalls(pieces: &[&[u8]]) {
        let (answer, after) = ask(&block(90), pieces);
        let stands_still = matches!(
            answer,
            Err(Error::Timeout {
                which: Timeout::Stall,
                after: STALL,
                ..
            })
        );
        assert!(stands_still, "{answer:?}");
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
