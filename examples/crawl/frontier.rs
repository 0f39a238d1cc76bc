//! Which addresses are known, and whose turn it is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use bsv_p2p::peers::{AddressKind, is_service_port};

/// So many addresses are remembered: peers may name what they like.
const MAX_KNOWN: usize = 100_000;
/// So many ports of one public address are dialled: nobody shall have us try all of a stranger's.
const MAX_PER_HOST: u8 = 4;

/// The addresses that are known, each once, and what has become of them.
pub(crate) struct Frontier {
    max_nodes: usize,
    /// Whether loopback and private addresses are those of nodes.
    private: bool,
    known: HashSet<SocketAddr>,
    per_host: HashMap<IpAddr, u8>,
    waiting: VecDeque<SocketAddr>,
    /// How many are being visited.
    visited_now: usize,
    reached: usize,
    over: bool,
}

/// Whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// This one's.
    Visit(SocketAddr),
    /// Nobody's, until another visit has ended.
    Wait,
    /// The walk is over.
    Over,
}

impl Frontier {
    /// Begins with addresses that somebody has named, whatever they are.
    pub(crate) fn new(max_nodes: usize, private: bool, named: Vec<SocketAddr>) -> Self {
        Self {
            max_nodes,
            private,
            known: named.iter().copied().collect(),
            per_host: HashMap::new(),
            waiting: named.into(),
            visited_now: 0,
            reached: 0,
            over: false,
        }
    }

    /// Takes what a node tells of others.
    pub(crate) fn add(&mut self, addresses: impl IntoIterator<Item = SocketAddr>) {
        for address in addresses {
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            if self.known.len() < MAX_KNOWN
                && self.is_welcome(address)
                && self.known.insert(address)
            {
                *self.per_host.entry(address.ip()).or_default() += 1;
                self.waiting.push_back(address);
            }
        }
    }

    fn is_welcome(&self, address: SocketAddr) -> bool {
        let kind = AddressKind::of(address.ip());
        let host = self.per_host.get(&address.ip());
        let welcome = match kind {
            AddressKind::Public => host.is_none_or(|ports| *ports < MAX_PER_HOST),
            AddressKind::Loopback | AddressKind::Private => self.private,
            AddressKind::Unroutable => false,
        };
        welcome && !is_service_port(address.port()) && !address.ip().is_unspecified()
    }

    /// Whose turn it is. Every visit is to be ended by [`Frontier::visited`].
    pub(crate) fn next(&mut self) -> Turn {
        if self.over || self.reached >= self.max_nodes {
            return Turn::Over;
        }
        if self.reached + self.visited_now >= self.max_nodes {
            return Turn::Wait;
        }
        match self.waiting.pop_front() {
            Some(address) => {
                self.visited_now += 1;
                Turn::Visit(address)
            }
            None if self.visited_now == 0 => Turn::Over,
            None => Turn::Wait,
        }
    }

    /// A visit has ended.
    pub(crate) fn visited(&mut self, reached: bool) {
        self.visited_now -= 1;
        self.reached += usize::from(reached);
    }

    /// Whether more addresses are wanted than wait already: some of them lead nowhere, and those who follow are asked then.
    pub(crate) fn wants_addresses(&self) -> bool {
        self.waiting.len() < self.max_nodes.saturating_sub(self.reached)
    }

    pub(crate) fn known(&self) -> usize {
        self.known.len()
    }

    /// Nobody else is visited.
    pub(crate) fn end(&mut self) {
        self.over = true;
    }
}
