//! A program that dials servers, sends requests, and closes its connections at random times.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::Error;
use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionHandle, RestartConfig, Supervisor};
use bsv_p2p::wire::{BlockHash, Txid};
use test_support::raw_peer::{DEADLINE, RawPeer, frame, version};

use super::history::{SENDERS, numbered};
use super::program::{Counts, Program, config};
use super::server::{Server, block};
use crate::harness::SeededRandom;

/// The maximum time for a request, a send or a restart. A connection lasts less than a second.
const LIMIT: Duration = DEADLINE.saturating_mul(3);

/// The dialing program.
pub(super) struct Client {
    program: Program,
}

/// Dials one peer after the other.
pub(super) struct Dialer<'a> {
    client: &'a Client,
    supervisor: &'a Supervisor,
    servers: &'a [Server],
    block: BlockHash,
    random: SeededRandom,
}

impl Client {
    pub(super) fn start() -> Self {
        Self {
            program: Program::start(drop),
        }
    }

    pub(super) fn dialer<'a>(
        &'a self,
        supervisor: &'a Supervisor,
        servers: &'a [Server],
        seed: u64,
    ) -> Dialer<'a> {
        Dialer {
            client: self,
            supervisor,
            servers,
            block: block().hash(),
            random: SeededRandom::new(seed),
        }
    }

    /// Checks all events and resources.
    pub(super) fn finish(self) -> Counts {
        self.program.finish()
    }
}

impl Dialer<'_> {
    /// Dials a server, and closes the connection after a random time.
    pub(super) fn connect_and_close(&mut self) {
        match self.random.below(8) {
            0 => self.send_partial_version(),
            _ => self.run_connection(),
        }
    }

    fn server(&mut self) -> &Server {
        &self.servers[self.random.below(self.servers.len())]
    }

    /// Closes or resets a connection within the `version`, or after it.
    fn send_partial_version(&mut self) {
        let mut peer = RawPeer::dial(self.server().address);
        let bytes = frame(&version().into());
        let len = self.random.below(bytes.len() + 1);
        // The server may have closed the connection.
        let _ = std::io::Write::write_all(&mut peer.tcp(), &bytes[..len]);
        match self.random.below(2) {
            0 => peer.close(),
            _ => peer.reset(),
        }
    }

    fn run_connection(&mut self) {
        let address = self.server().address;
        let program = &self.client.program;
        let options = program.options(self.random.below(2) == 0);
        let handle = match self.random.below(2) {
            0 => PeerConnectionActor::spawn_outbound(address, options),
            _ => self.supervisor.spawn_outbound(address, options, restarts()),
        };
        let handle = handle.unwrap();
        program.started().fetch_add(1, SeqCst);
        // From before the first byte to after several restarts.
        let lifetime = Duration::from_micros(match self.random.below(2) {
            0 => self.random.of_any_size(18),
            _ => self.random.below(200_000) as u64,
        });
        let is_requested = self.random.below(4) != 0;
        thread::scope(|scope| {
            for sender in (0..SENDERS).filter(|_| is_requested) {
                let (handle, block) = (&handle, self.block);
                let random = SeededRandom::new(self.random.next_u64());
                scope.spawn(move || send_requests(handle, sender, block, random));
            }
            thread::sleep(lifetime);
            if is_requested {
                handle.disconnect();
            }
        });
        let began = Instant::now();
        drop(handle);
        assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    }
}

/// Sends requests and messages until the connection is closed permanently.
fn send_requests(
    handle: &PeerConnectionHandle,
    sender: usize,
    block: BlockHash,
    mut random: SeededRandom,
) {
    let mut number = 0;
    loop {
        match handle.wait_connected(LIMIT) {
            Ok(()) => {}
            Err(Error::Disconnected { .. }) => return,
            Err(other) => panic!("{other}"),
        }
        let result = match random.below(12) {
            0 => handle.ping(LIMIT).map(drop),
            1 => handle.headers(&[block], BlockHash::ZERO, LIMIT).map(drop),
            2 => handle.block(block, LIMIT).map(drop),
            3 => handle.transactions(&[Txid([7; 32])], LIMIT).map(drop),
            4 => handle.update_config(config(random.below(2) == 0)),
            _ => {
                number += 1;
                let len = [10, 500, 2_000, 100_000][random.below(4)];
                handle.send(numbered(sender, number, len), LIMIT)
            }
        };
        match result {
            Ok(())
            | Err(Error::NotFound { .. })
            // The connection was restarted, and its handshake is not complete.
            | Err(Error::Send { .. })
            | Err(Error::Disconnected { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn restarts() -> RestartConfig {
    RestartConfig {
        backoff: Duration::from_millis(5),
        max_backoff: Duration::from_millis(20),
        max_delayed_restarts: None,
        ..RestartConfig::default()
    }
}
