//! A network of fifty managers that forms from the name of one seed and recovers from failures.
//!
//! It needs a real name server, given by the environment variable `DNSMASQ`. `NETWORK_ROUNDS` is
//! the number of failures. It defaults to 4, which takes about a minute.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use bsv_p2p::connection::EventReceiver;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::manager::TipUpdate;
use bsv_p2p::peers::Subnet;
use bsv_p2p::wire::BlockHash;
use bsv_p2p::{Manager, ManagerConfig};
use test_support::SeededRandom;
use test_support::dnsmasq::Dnsmasq;

use crate::harness::config;

const NODES: u8 = 15;
const MANAGERS: u8 = 35;
const SEED: &str = "seed.test";
/// The target number of connections of each manager.
const TARGET: usize = 8;
/// The time limit for the network to form or recover.
const SOON: Duration = Duration::from_secs(60);

/// A member that follows the chain with discovered peers.
struct Member {
    number: u8,
    manager: Manager,
    tips: EventReceiver<TipUpdate>,
    /// The number of announcements of each block.
    told: HashMap<BlockHash, u32>,
}

struct Network {
    port: u16,
    server: Dnsmasq,
    nodes: Vec<LocalNode>,
    members: Vec<Member>,
    random: SeededRandom,
    tip: Option<BlockHash>,
}

fn node_ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, number + 1)
}

fn member_ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 2, number + 1)
}

impl Network {
    /// Starts the network. The members know only the seed, which knows three nodes.
    fn start() -> Self {
        // The same port at each loopback address.
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let known = (0..3).map(|number| format!("--host-record={SEED},{}", node_ip(number)));
        let server = Dnsmasq::start(&known.collect::<Vec<_>>());
        let mut network = Self {
            port,
            server,
            nodes: Vec::new(),
            members: Vec::new(),
            random: SeededRandom::new(7),
            tip: None,
        };
        for number in 0..NODES {
            let node = network.node(number);
            network.nodes.push(node);
        }
        for number in 0..MANAGERS {
            let member = network.member(number);
            network.members.push(member);
        }
        network
    }

    fn address(&self, ip: Ipv4Addr) -> SocketAddr {
        (ip, self.port).into()
    }

    /// Starts a node that dials its neighbors in a ring, if they exist: nodes do not discover
    /// others.
    fn node(&self, number: u8) -> LocalNode {
        let address = self.address(node_ip(number));
        let node = LocalNode::start_at(address, LocalNode::default_config()).unwrap();
        for step in [1, 2, NODES - 2, NODES - 1] {
            let other = self.address(node_ip((number + step) % NODES));
            if self.nodes.iter().any(|node| node.address() == other) {
                node.connect(other).unwrap();
            }
        }
        node
    }

    fn config(&self, number: u8) -> ManagerConfig {
        let mut config = config();
        let own = self.address(member_ip(number));
        config.target_connections = TARGET;
        config.min_outbound = 4;
        config.listener.enabled = true;
        config.listener.address = Some(own);
        config.listener.external_address = Some(own);
        config.listener.bind_retry = Duration::from_millis(200);
        config.discovery.seeds = Some(vec![SEED.into()]);
        config.discovery.name_servers = vec![self.server.address()];
        config.discovery.default_port = Some(self.port);
        config.restarts.max_delayed_restarts = Some(2);
        config.cooldown = Duration::from_secs(1);
        config
    }

    fn member(&self, number: u8) -> Member {
        let manager = Manager::new(self.config(number)).unwrap();
        let tips = manager.subscribe_blocks().unwrap();
        manager.start().unwrap();
        Member {
            number,
            manager,
            tips,
            told: HashMap::new(),
        }
    }

    /// Waits until each member has its target number of connections.
    #[track_caller]
    fn wait_until_whole(&self, after: &str) {
        let began = Instant::now();
        for member in &self.members {
            let left = SOON.saturating_sub(began.elapsed());
            if let Err(error) = member.manager.wait_for_peers(TARGET, left) {
                let known = member.manager.peers().unwrap().len();
                panic!(
                    "after {after}: member {} of {known} peers: {error}",
                    member.number
                );
            }
        }
        println!("whole again {:?} after {after}", began.elapsed());
    }

    /// Mines a block at any node, and waits until every node and member has it. It must be reported
    /// once.
    #[track_caller]
    fn assert_a_block_reaches_all(&mut self) {
        if let Some(tip) = self.tip {
            // A node that has just started would mine on an old block.
            let is_up_to_date = |node: &LocalNode| node.wait_for_tip(tip, SOON);
            assert!(self.nodes.iter().all(is_up_to_date));
        }
        let miner = self.random.below(self.nodes.len());
        let began = Instant::now();
        let mined = self.nodes[miner].mine(1).unwrap()[0];
        self.tip = Some(mined);
        for node in &self.nodes {
            assert!(node.wait_for_tip(mined, SOON), "a node has not got {mined}");
        }
        for member in &mut self.members {
            let deadline = Instant::now() + SOON;
            while !member.told.contains_key(&mined) {
                let tip = member.tips.recv_deadline(deadline);
                let tip =
                    tip.unwrap_or_else(|_| panic!("member {} has not got {mined}", member.number));
                assert_eq!((tip.skipped, tip.disconnected.len()), (0, 0));
                for hash in tip.connected {
                    *member.told.entry(hash).or_default() += 1;
                }
            }
        }
        println!("a block has reached all in {:?}", began.elapsed());
    }

    /// Kills some nodes and members at once, and replaces them by new ones.
    fn kill(&mut self) {
        let node = 3 + self.random.below(self.nodes.len() - 3);
        let mut gone = Vec::new();
        for _ in 0..4 {
            let at = self.random.below(self.members.len());
            gone.push(self.members.swap_remove(at).number);
        }
        let last = self.nodes.swap_remove(node);
        let number = match last.address() {
            SocketAddr::V4(address) => address.ip().octets()[3] - 1,
            SocketAddr::V6(_) => unreachable!("they are IPv4"),
        };
        drop(last);
        let node = self.node(number);
        self.nodes.push(node);
        for number in gone {
            let member = self.member(number);
            self.members.push(member);
        }
    }

    /// Partitions the members: both parts ban each other, and lose most of the nodes. Then it lifts
    /// the bans.
    fn part(&mut self) {
        let part = |number: u8| number.is_multiple_of(2);
        let subnets = |of: bool| -> Vec<Subnet> {
            let members = (0..MANAGERS)
                .filter(|number| part(*number) == of)
                .map(member_ip);
            let nodes = (0..NODES)
                .filter(|number| number % 3 == u8::from(of))
                .map(node_ip);
            let hosts = members.chain(nodes);
            hosts.map(|ip| Subnet::containing(ip.into(), 32)).collect()
        };
        for member in &self.members {
            for subnet in subnets(!part(member.number)) {
                member.manager.ban(subnet, None).unwrap();
            }
        }
        self.wait_until_apart(part);
        for member in &self.members {
            for ban in member.manager.bans() {
                member.manager.unban(ban.subnet).unwrap();
            }
        }
    }

    /// Waits until no outbound connection crosses the partition.
    #[track_caller]
    fn wait_until_apart(&self, part: impl Fn(u8) -> bool) {
        let deadline = Instant::now() + SOON;
        for member in &self.members {
            let is_across = |address: SocketAddr| match address {
                SocketAddr::V4(address) => {
                    let [.., kind, number] = address.ip().octets();
                    kind == 2
                        && address.port() == self.port
                        && part(number - 1) != part(member.number)
                }
                SocketAddr::V6(_) => false,
            };
            let any = || {
                member
                    .manager
                    .connections()
                    .iter()
                    .any(|one| is_across(one.address))
            };
            while any() {
                assert!(Instant::now() < deadline, "they do not part");
                std::thread::yield_now();
            }
        }
    }
}

/// The members know one seed name. The network loses members and is partitioned.
#[test]
#[ignore = "needs dnsmasq: DNSMASQ"]
fn network_of_fifty_forms_and_heals() {
    let rounds = std::env::var("NETWORK_ROUNDS").map_or(4, |text| text.parse().unwrap());
    let mut network = Network::start();
    network.wait_until_whole("the start");
    network.assert_a_block_reaches_all();
    for round in 0..rounds {
        if round % 2 == 0 {
            network.kill();
            network.wait_until_whole("a kill");
        } else {
            network.part();
            network.wait_until_whole("a partition");
        }
        network.assert_a_block_reaches_all();
    }
    for member in &network.members {
        let tips = member.tips.try_iter().count();
        assert_eq!(tips, 0, "nothing is told twice");
        assert!(member.told.values().all(|times| *times == 1));
    }
}
