//! Known addresses and the order in which they are visited.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use bsv_p2p::peers::{AddressKind, is_service_port};

/// Maximum number of known addresses. It bounds the memory that peers can occupy.
const MAX_KNOWN: usize = 100_000;
/// Maximum number of ports of one public IP address that are dialed.
///
/// It must be small: a malicious peer could otherwise use the crawler for a port scan.
const MAX_PER_HOST: u8 = 4;

/// The known addresses and the state of the crawl.
pub(crate) struct Frontier {
    /// Number of reached nodes at which the crawl ends.
    max_nodes: usize,
    /// Whether advertised loopback and private addresses are accepted.
    private: bool,
    known: HashSet<SocketAddr>,
    /// Number of advertised ports that were accepted for each IP address.
    per_host: HashMap<IpAddr, u8>,
    /// Addresses that have not been visited yet.
    pending: VecDeque<SocketAddr>,
    /// Number of visits in progress.
    in_progress: usize,
    /// Number of successful visits.
    reached: usize,
    /// Whether [`Frontier::stop`] was called.
    stopped: bool,
}

/// The next step of a thread.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Visit this address.
    Visit(SocketAddr),
    /// Wait until another visit ends.
    Wait,
    /// The crawl is over.
    Finished,
}

impl Frontier {
    /// Creates a frontier of the initial addresses `initial`, which are accepted without checks.
    pub(crate) fn new(max_nodes: usize, private: bool, initial: Vec<SocketAddr>) -> Self {
        Self {
            max_nodes,
            private,
            known: initial.iter().copied().collect(),
            per_host: HashMap::new(),
            pending: initial.into(),
            in_progress: 0,
            reached: 0,
            stopped: false,
        }
    }

    /// Adds the addresses that a node advertised. Known and unacceptable ones are skipped.
    pub(crate) fn add(&mut self, addresses: impl IntoIterator<Item = SocketAddr>) {
        for address in addresses {
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            if self.known.len() < MAX_KNOWN
                && self.is_acceptable(address)
                && self.known.insert(address)
            {
                *self.per_host.entry(address.ip()).or_default() += 1;
                self.pending.push_back(address);
            }
        }
    }

    /// Returns whether an advertised address should be dialed.
    fn is_acceptable(&self, address: SocketAddr) -> bool {
        let kind = AddressKind::of(address.ip());
        let host = self.per_host.get(&address.ip());
        let acceptable = match kind {
            AddressKind::Public => host.is_none_or(|ports| *ports < MAX_PER_HOST),
            AddressKind::Loopback | AddressKind::Private => self.private,
            AddressKind::Unroutable => false,
        };
        acceptable && !is_service_port(address.port()) && !address.ip().is_unspecified()
    }

    /// Returns the next step.
    ///
    /// After each [`Step::Visit`], [`Frontier::visited`] must be called once.
    pub(crate) fn next(&mut self) -> Step {
        if self.stopped || self.is_full() {
            return Step::Finished;
        }
        if self.reached + self.in_progress >= self.max_nodes {
            return Step::Wait;
        }
        match self.pending.pop_front() {
            Some(address) => {
                self.in_progress += 1;
                Step::Visit(address)
            }
            None if self.in_progress == 0 => Step::Finished,
            None => Step::Wait,
        }
    }

    /// Records the end of a visit. `reached` is whether the handshake was completed.
    pub(crate) fn visited(&mut self, reached: bool) {
        self.in_progress -= 1;
        self.reached += usize::from(reached);
    }

    /// Returns whether fewer addresses are pending than nodes are missing to the maximum.
    pub(crate) fn needs_addresses(&self) -> bool {
        self.pending.len() < self.max_nodes.saturating_sub(self.reached)
    }

    /// Returns whether the maximum number of nodes was reached.
    pub(crate) fn is_full(&self) -> bool {
        self.reached >= self.max_nodes
    }

    /// Returns the number of known addresses.
    pub(crate) fn known(&self) -> usize {
        self.known.len()
    }

    /// Ends the crawl: no further visit starts.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }
}
