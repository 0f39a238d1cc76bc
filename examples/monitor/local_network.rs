//! A small network in the process: three nodes in a row that mine in turn.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use bsv_p2p::local_node::LocalNode;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

/// From one block to the next.
const BLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Three nodes and the thread that lets them mine. Dropping it ends all of them.
pub(crate) struct LocalNetwork {
    addresses: Vec<String>,
    /// Dropped to stop the miner.
    stop: Option<Sender<()>>,
    miner: Option<JoinHandle<()>>,
}

impl LocalNetwork {
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

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.addresses.clone()
    }
}

impl Drop for LocalNetwork {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(miner) = self.miner.take() {
            // A panic of the miner has been printed already.
            let _ = miner.join();
        }
    }
}
