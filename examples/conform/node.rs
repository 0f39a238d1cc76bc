//! The node under test.

use std::net::SocketAddr;
use std::time::Duration;

use bsv_p2p::Network;
use bsv_p2p::session::{PROTOCOL_VERSION, PeerProfile};
use bsv_p2p::wire::{
    BlockHash, BlockHeader, DEFAULT_MAX_RECEIVE_PAYLOAD, GetHeaders, Inv, Inventory,
    LEGACY_MAX_RECEIVE_PAYLOAD, MerkleRoot, Message, NetworkAddress, Protoconf, Services, Version,
    WireString,
};

use crate::finding::Finding;
use crate::messages::{now, random, unknown_block};
use crate::pace::Pace;
use crate::probe::Probe;

/// How connections to the node are opened.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) network: Network,
    /// Whether rules may extend the chain of the node.
    pub(crate) may_mine: bool,
    /// The user agent to send.
    pub(crate) user_agent: String,
    /// The maximum duration of a connection.
    pub(crate) timeout: Duration,
    pub(crate) pace: Pace,
}

/// The reaction of the node to a new connection.
pub(crate) enum Access {
    Open,
    /// The node closes the connection without an answer, as for a banned address.
    Closed,
    /// The connection fails in another way. Contains the error.
    Failed(String),
}

/// A node that has completed a handshake.
pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    /// The node's `version`.
    pub(crate) version: Version,
    /// The maximum payload that the node accepts, in bytes.
    pub(crate) max_payload: u32,
    /// The first headers after genesis, at most 2,000. Empty if the node did not answer.
    pub(crate) headers: Vec<BlockHeader>,
    /// The hash of the best block of the node, if known.
    pub(crate) tip: Option<BlockHash>,
}

impl Endpoint {
    /// Opens a connection.
    pub(crate) fn open(&self) -> Result<Probe, Finding> {
        self.pace.wait();
        Probe::open(self.address, self.network.magic(), self.timeout)
    }

    /// Returns the `version` to send. It declines additional streams and requests no transactions.
    fn version(&self) -> Version {
        Version {
            version: PROTOCOL_VERSION,
            services: Services::NONE,
            timestamp: now(),
            receiver: NetworkAddress::unspecified(Services::NONE),
            sender: Some(NetworkAddress::unspecified(Services::NONE)),
            nonce: Some(random()),
            user_agent: Some(self.user_agent.clone().into()),
            start_height: Some(0),
            relay: Some(false),
            association_id: None,
        }
    }

    /// Opens a connection and completes the handshake.
    pub(crate) fn handshake(&self) -> Result<Probe, Finding> {
        self.handshake_as(self.version(), Some(protoconf()))
    }

    /// Opens a connection and completes the handshake with these messages.
    pub(crate) fn handshake_as(
        &self,
        version: Version,
        protoconf: Option<Protoconf>,
    ) -> Result<Probe, Finding> {
        let mut probe = self.open()?;
        probe.exchange_versions(version)?;
        probe.complete(protoconf)?;
        Ok(probe)
    }

    /// Checks whether the node still answers connections from this address.
    pub(crate) fn access(&self) -> Access {
        let mut probe = match self.open() {
            Ok(probe) => probe,
            Err(finding) => return Access::Failed(finding.into_text()),
        };
        probe.send(self.version());
        match probe.receive() {
            Ok(Some(_)) => Access::Open,
            Ok(None) => Access::Closed,
            Err(finding) => Access::Failed(finding.into_text()),
        }
    }

    /// Connects to the node and collects the data that the rules use.
    pub(crate) fn survey(self) -> Result<Node, Finding> {
        let mut probe = self.handshake()?;
        let genesis = BlockHeader::genesis(&self.network).hash();
        let mut headers = Vec::new();
        probe.send(getheaders(vec![genesis], BlockHash::ZERO));
        probe.send(Inv::from(vec![Inventory::Block(unknown_block())]));
        // A node answers the announcement of an unknown block with its own locator, which begins with its tip.
        let mut tip = None;
        for answer in probe.until_marker()? {
            match answer {
                Message::Headers(answer) => headers = answer.headers,
                Message::GetHeaders(request) => tip = request.locator.first().copied(),
                _ => {}
            }
        }
        let protoconf = probe.protoconf.as_ref();
        let max_payload = protoconf.map(|protoconf| protoconf.max_receive_payload);
        // Teranode begins its answer with the block of the locator.
        headers.retain(|header| header.hash() != genesis);
        let Some(version) = probe.version.take() else {
            return Finding::broken("no version");
        };
        Ok(Node {
            endpoint: self,
            version,
            max_payload: max_payload.unwrap_or(LEGACY_MAX_RECEIVE_PAYLOAD),
            headers,
            tip,
        })
    }
}

impl Node {
    /// Opens a connection.
    pub(crate) fn open(&self) -> Result<Probe, Finding> {
        self.endpoint.open()
    }

    /// Opens a connection and completes the handshake.
    pub(crate) fn handshake(&self) -> Result<Probe, Finding> {
        self.endpoint.handshake()
    }

    /// Opens a connection and completes the handshake with these messages.
    pub(crate) fn handshake_as(
        &self,
        version: Version,
        protoconf: Option<Protoconf>,
    ) -> Result<Probe, Finding> {
        self.endpoint.handshake_as(version, protoconf)
    }

    /// Returns the `version` to send.
    pub(crate) fn own_version(&self) -> Version {
        self.endpoint.version()
    }

    pub(crate) fn user_agent(&self) -> WireString {
        self.version.user_agent.clone().unwrap_or_default()
    }

    pub(crate) fn profile(&self) -> PeerProfile {
        PeerProfile::from_user_agent(&self.user_agent())
    }

    pub(crate) fn genesis(&self) -> BlockHash {
        BlockHeader::genesis(&self.endpoint.network).hash()
    }

    /// Returns whether a header has proof of work, by the easiest target of the network.
    pub(crate) fn has_work(&self, header: &BlockHeader) -> bool {
        header.check_proof_of_work(&self.endpoint.network).is_ok()
    }

    /// Returns a header after this block that no chain has, with or without proof of work.
    ///
    /// Finding proof of work takes too long on other networks than regtest.
    pub(crate) fn header_after(&self, previous: BlockHash, with_work: bool) -> BlockHeader {
        let mut header = BlockHeader {
            previous,
            merkle_root: MerkleRoot(unknown_block().0),
            ..BlockHeader::genesis(&self.endpoint.network)
        };
        while self.has_work(&header) != with_work {
            header.nonce = header.nonce.wrapping_add(1);
        }
        header
    }

    /// Returns whether the node serves the headers of at least this many blocks after genesis.
    pub(crate) fn has_blocks(&self, count: u32) -> bool {
        let claimed = u32::try_from(self.version.start_height_or_default()).unwrap_or(0);
        let served = self.headers.len() as u32;
        count == 0 || served >= count || (served > 0 && claimed >= count)
    }

    /// Returns the hash of the block at a height from 1 to 2,000.
    pub(crate) fn block(&self, height: usize) -> Result<BlockHash, Finding> {
        match height
            .checked_sub(1)
            .and_then(|index| self.headers.get(index))
        {
            Some(header) => Ok(header.hash()),
            None => Finding::skipped(format!("node did not serve the header at height {height}")),
        }
    }

    /// Returns the hash of the node's best block.
    pub(crate) fn tip(&self) -> Result<BlockHash, Finding> {
        match self.tip {
            Some(tip) => Ok(tip),
            None => Finding::skipped("the best block of the node is unknown"),
        }
    }
}

/// Returns the `protoconf` that the tool sends.
pub(crate) fn protoconf() -> Protoconf {
    Protoconf {
        max_receive_payload: DEFAULT_MAX_RECEIVE_PAYLOAD,
        stream_policies: Some("BlockPriority,Default".into()),
    }
}

/// Returns a request for headers.
pub(crate) fn getheaders(locator: Vec<BlockHash>, stop: BlockHash) -> GetHeaders {
    GetHeaders {
        version: PROTOCOL_VERSION,
        locator,
        stop,
    }
}
