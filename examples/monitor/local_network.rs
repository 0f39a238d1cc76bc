//! An in-process network of three nodes, connected in a row, which mine in turn.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use bsv_p2p::local_node::LocalNode;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

/// Interval between two mined blocks.
const BLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Three local nodes and the thread in which they mine. Dropping it stops all of them and blocks
/// until the thread has ended.
pub(crate) struct LocalNetwork {
    addresses: Vec<String>,
    /// Dropped to stop the miner.
    stop: Option<Sender<()>>,
    miner: Option<JoinHandle<()>>,
}

impl LocalNetwork {
    /// Starts and connects the nodes, and mines a block every [`BLOCK_INTERVAL`].
    ///
    /// # Errors
    ///
    /// - If a node cannot be started or connected.
    pub(crate) fn start() -> Result<Self, bsv_p2p::Error> {
        let nodes = [
            LocalNode::start()?,
            LocalNode::start()?,
            LocalNode::start()?,
        ];
        nodes[1].connect(nodes[0].address())?;
        nodes[2].connect(nodes[1].address())?;
        let addresses = nodes
            .iter()
            .map(|node| node.address().to_string())
            .collect();
        let (stop, stopped) = bounded::<()>(0);
        let miner = thread::spawn(move || {
            let mut turns = nodes.iter().cycle();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(BLOCK_INTERVAL) {
                if let Some(Err(refused)) = turns.next().map(|node| node.mine(1)) {
                    log::warn!("no block was mined: {refused}");
                }
            }
        });
        Ok(Self {
            addresses,
            stop: Some(stop),
            miner: Some(miner),
        })
    }

    /// Returns the listening address of each node.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.addresses.clone()
    }
}

impl Drop for LocalNetwork {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(miner) = self.miner.take() {
            // A panic of the thread is already printed.
            let _ = miner.join();
        }
    }
}
