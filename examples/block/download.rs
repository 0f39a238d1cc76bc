//! One try to have the block of one peer.

use std::io::Read;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::ConnectionConfig;
use bsv_p2p::connection::{
    BlockReader, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::{BlockHash, BlockHeader, Reader};
use crossbeam_channel::{Receiver, bounded, select};

use crate::lasting::over;
use crate::progress;
use crate::shared::Failure;
use crate::target::Target;

/// How long a peer may take until the block begins to come: the next one may be faster.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is wanted, and until when.
pub(crate) struct Download {
    pub(crate) hash: BlockHash,
    pub(crate) config: ConnectionConfig,
    pub(crate) end: Instant,
    pub(crate) interrupted: Receiver<()>,
}

/// What has come.
pub(crate) struct Downloaded {
    pub(crate) bytes: u64,
    pub(crate) transactions: u64,
}

/// Why nothing has.
pub(crate) enum NotDownloaded {
    /// This peer has not given it. Another one may.
    Peer(String),
    TimeOver,
    /// It is not for peers to mend.
    Here(Failure),
}

impl Download {
    /// Writes the block as the peer at `address` has it. Ends with the time at the latest, whatever the peer does.
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
        let events = setup.events.subscribe_control(); // before the connection: nothing is missed
        let peer = PeerConnectionActor::spawn_outbound(address, setup)
            .map_err(|error| NotDownloaded::Here(error.into()))?;
        thread::scope(|scope| {
            let (done, finished) = bounded::<()>(0);
            // A read waits for the peer alone: whoever would end it sooner has to end the connection.
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

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    fn read(
        &self,
        peer: &PeerConnectionHandle,
        events: &Receiver<ControlEvent>,
        target: &mut Target,
    ) -> Result<Downloaded, NotDownloaded> {
        until_connected(events)?;
        let block = peer.block_reader(self.hash, self.left().min(BEGIN_TIMEOUT));
        copy(
            block.map_err(|error| NotDownloaded::Peer(error.to_string()))?,
            target,
        )
    }
}

/// Waits for the handshake, which has a deadline of its own.
fn until_connected(events: &Receiver<ControlEvent>) -> Result<(), NotDownloaded> {
    for event in events {
        match event {
            ControlEvent::HandshakeComplete { .. } => return Ok(()),
            ControlEvent::ConnectionFailed { reason, .. }
            | ControlEvent::ConnectionLost { reason, .. } => {
                return Err(NotDownloaded::Peer(reason.to_string()));
            }
            _ => {}
        }
    }
    Err(NotDownloaded::Peer("the connection has ended".into()))
}

/// Writes the block while it arrives. That what was read is the block is what the last read says.
fn copy(mut block: BlockReader, target: &mut Target) -> Result<Downloaded, NotDownloaded> {
    let progress = progress::bar(block.len()).map_err(NotDownloaded::Here)?;
    let mut buffer = vec![0; 256 * 1024];
    let mut beginning = Vec::new();
    let mut bytes = 0;
    loop {
        let read = match block.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) => return Err(NotDownloaded::Peer(error.to_string())),
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
        // The block is whole: it says so.
        transactions: count.unwrap_or_default(),
    })
}

/// The header, and the number of transactions behind it at its longest.
const BEGINNING: usize = BlockHeader::LEN + 9;
