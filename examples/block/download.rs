//! Downloads the block from one peer.

use std::io::Read;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::ConnectionConfig;
use bsv_p2p::connection::{
    BlockReader, EventReceiver, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::{BlockHash, BlockHeader, Reader};
use crossbeam_channel::{Receiver, bounded, select};

use crate::lasting::over;
use crate::progress;
use crate::shared::{Failure, with_sources};
use crate::target::Target;

/// Maximum time until the block starts to arrive. After it, the next peer is tried.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum time to establish the TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum duration of the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The block to download and the limits of the download.
pub(crate) struct Download {
    /// The hash of the block.
    pub(crate) hash: BlockHash,
    /// The configuration of each connection. Its timeouts are replaced.
    pub(crate) config: ConnectionConfig,
    /// The deadline of the whole run.
    pub(crate) end: Instant,
    /// Receives a value if the user interrupts the run.
    pub(crate) interrupted: Receiver<()>,
}

/// A downloaded block.
pub(crate) struct Downloaded {
    /// The size of the block in bytes.
    pub(crate) bytes: u64,
    /// The number of transactions.
    pub(crate) transactions: u64,
}

/// Reason why a download failed.
pub(crate) enum NotDownloaded {
    /// This peer did not deliver the block. Another peer may.
    Peer(String),
    /// The deadline of the run has expired.
    TimeOver,
    /// A local failure or an interrupt. Trying another peer does not help.
    Here(Failure),
}

impl Download {
    /// Downloads the block from the peer at `address` into `target`.
    ///
    /// Discards the previous content of `target`. Blocks until `self.end` at the latest.
    pub(crate) fn from(
        &self,
        address: SocketAddr,
        target: &mut Target,
    ) -> Result<Downloaded, NotDownloaded> {
        let mut config = self.config.clone();
        config.connect_timeout = CONNECT_TIMEOUT;
        config.session.handshake_timeout = HANDSHAKE_TIMEOUT;
        target.clear().map_err(NotDownloaded::Here)?;
        let setup = PeerConnectionOptions::new(config);
        // Subscribed before the connection starts, to receive all its events.
        let events = setup.events.subscribe_control();
        let peer = PeerConnectionActor::spawn_outbound(address, setup)
            .map_err(|error| NotDownloaded::Here(error.into()))?;
        thread::scope(|scope| {
            let (done, finished) = bounded::<()>(0);
            // A blocking read cannot be canceled. Closing the connection ends it.
            let watch = scope.spawn(|| {
                let (finished, time_over) = (finished, over(Some(self.left())));
                select! {
                    recv(finished) -> _ => return Ok(()),
                    recv(time_over) -> _ => peer.disconnect(),
                    recv(self.interrupted) -> _ => {
                        peer.disconnect();
                        return Err("interrupted");
                    }
                }
                Ok(())
            });
            let downloaded = self.read(&peer, &events, target);
            drop(done);
            match (downloaded, watch.join()) {
                (Ok(block), _) => Ok(block),
                (Err(error @ NotDownloaded::Here(_)), _) => Err(error),
                (Err(_), Ok(Err(interrupted))) => Err(NotDownloaded::Here(interrupted.into())),
                (Err(_), _) if self.left().is_zero() => Err(NotDownloaded::TimeOver),
                (Err(error), _) => Err(error),
            }
        })
    }

    /// Returns the time left until the deadline of the run.
    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Requests the block and copies it into `target`, once the handshake is complete.
    fn read(
        &self,
        peer: &PeerConnectionHandle,
        events: &EventReceiver<ControlEvent>,
        target: &mut Target,
    ) -> Result<Downloaded, NotDownloaded> {
        until_connected(events)?;
        let block = peer.block_reader(self.hash, self.left().min(BEGIN_TIMEOUT));
        copy(
            block.map_err(|error| NotDownloaded::Peer(with_sources(&error)))?,
            target,
        )
    }
}

/// Blocks until the handshake is complete. Returns an error if the connection ends before.
///
/// `CONNECT_TIMEOUT` and `HANDSHAKE_TIMEOUT` limit the duration.
fn until_connected(events: &EventReceiver<ControlEvent>) -> Result<(), NotDownloaded> {
    for event in events {
        match event.map_err(|error| NotDownloaded::Peer(error.to_string()))? {
            ControlEvent::HandshakeComplete { .. } => return Ok(()),
            ControlEvent::ConnectionFailed { reason, .. }
            | ControlEvent::ConnectionLost { reason, .. } => {
                return Err(NotDownloaded::Peer(with_sources(&reason)));
            }
            _ => {}
        }
    }
    Err(NotDownloaded::Peer("connection was closed".into()))
}

/// Writes the block to `target` while it arrives.
///
/// The content must not be used before the last read succeeds: only that read verifies the block.
fn copy(mut block: BlockReader<'_>, target: &mut Target) -> Result<Downloaded, NotDownloaded> {
    let progress = progress::bar(block.len()).map_err(NotDownloaded::Here)?;
    let mut buffer = vec![0; 256 * 1024];
    let mut beginning = Vec::new();
    let mut bytes = 0;
    loop {
        let read = match block.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) => return Err(NotDownloaded::Peer(with_sources(&error))),
        };
        let missing = BEGINNING.saturating_sub(beginning.len());
        beginning.extend(read.iter().take(missing));
        target.write(read).map_err(NotDownloaded::Here)?;
        bytes += read.len() as u64;
        progress.set_position(bytes);
    }
    let count = Reader::new(beginning.get(BlockHeader::LEN..).unwrap_or_default())
        .compact_size("transactions");
    Ok(Downloaded {
        bytes,
        // A verified block contains the number, so the default is never used.
        transactions: count.unwrap_or_default(),
    })
}

/// Maximum length of the header plus the number of transactions, in bytes.
const BEGINNING: usize = BlockHeader::LEN + 9;
