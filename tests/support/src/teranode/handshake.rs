//! Handshakes of a scripted Teranode, and the start of second streams, in both roles.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bsv_p2p::wire::{
    Addr, AssociationId, CreateStrm, Message, NetworkAddress, Protoconf, Reject, RejectCode,
    Services, StreamAck, StreamPolicy, StreamType, TimestampedAddress, Version,
};
use uuid::Uuid;

use super::config::{JoinOrder, UserAgentRule};
use super::node::Node;
use super::peer::{Closed, Peer, ReadEnd, Wire};
use super::peer_stream::PeerStream;
use super::rules::{Punishment, decode};

/// Time of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Receive limit in `protoconf`, in bytes.
const RECEIVE_LIMIT: u32 = 2_097_152;

/// The oldest protocol version that is accepted.
const MIN_VERSION: i32 = 209;

const PROTOCOL_VERSION: i32 = 70016;

/// Number of known addresses from which on no more are requested.
const ENOUGH_ADDRESSES: usize = 1_000;

/// Serves a connection that was accepted.
pub(super) fn serve_inbound(node: &Arc<Node>, tcp: TcpStream) {
    if is_banned(node, &tcp) {
        return;
    }
    run(node, tcp, |node, wire| {
        let first = read_first(node, wire)?;
        match first {
            Message::CreateStrm(request) => join_stream(node, wire, &request),
            Message::Version(version) => greet_dialer(node, wire, *version),
            _ => Err(Closed),
        }
    });
}

/// Dials a peer and serves the connection.
pub(super) fn serve_outbound(node: &Arc<Node>, address: SocketAddr) {
    let Ok(tcp) = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) else {
        return;
    };
    run(node, tcp, greet_listener);
}

/// Opens the second stream of a peer that was dialed.
pub(super) fn serve_opened_stream(node: &Arc<Node>, peer: &Arc<Peer>, id: AssociationId) {
    let Ok(tcp) = TcpStream::connect_timeout(&peer.address, CONNECT_TIMEOUT) else {
        return;
    };
    run(node, tcp, |node, wire| open_stream(node, wire, peer, id));
}

/// Runs a connection to its end.
fn run(
    node: &Arc<Node>,
    tcp: TcpStream,
    start: impl FnOnce(&Arc<Node>, &mut Wire) -> Result<PeerStart, Closed>,
) {
    let Some(id) = node.register(&tcp) else {
        return;
    };
    if let Ok(mut wire) = Wire::new(node, id, tcp) {
        if let Ok(started) = start(node, &mut wire) {
            PeerStream::new(node, wire, started).run();
        } else {
            wire.link.close();
        }
    }
    node.unregister(id);
}

/// A connection that is ready for the messages after the handshake.
pub(super) struct PeerStart {
    pub(super) peer: Arc<Peer>,
    pub(super) stream: StreamType,
    /// Whether `protoconf` must still be sent.
    pub(super) owes_protoconf: bool,
}

/// A banned address is closed without any byte.
fn is_banned(node: &Node, tcp: &TcpStream) -> bool {
    let address = tcp.peer_addr();
    address.is_ok_and(|address| node.state().banned.contains(&address.ip()))
}

fn read_first(node: &Node, wire: &mut Wire) -> Result<Message, Closed> {
    let deadline = Instant::now() + node.config.handshake_timeout;
    // Other errors than a wrong first message close without a reject.
    let frame = match wire.next_frame(deadline) {
        Ok(Some(frame)) => frame,
        Ok(None) => {
            punish(node, wire, "", "no version in time", Punishment::Closed);
            return Err(Closed);
        }
        Err(ReadEnd::Closed) => return Err(Closed),
        Err(ReadEnd::Malformed(frame)) => {
            punish(node, wire, &frame.command, frame.rule, Punishment::Closed);
            return Err(Closed);
        }
    };
    let message = decode(&frame.command, frame.payload).map_err(|rule| {
        punish(node, wire, &frame.command, rule, Punishment::Closed);
        Closed
    })?;
    let is_first = match &message {
        Message::Version(_) => true,
        Message::CreateStrm(_) => node.config.streams.is_some(),
        _ => false,
    };
    if !is_first {
        let text = "a version message must precede all others";
        let _ = wire.link.send(
            node,
            Reject::new(&frame.command, RejectCode::MALFORMED, text),
        );
        punish(
            node,
            wire,
            &frame.command,
            "a message before version",
            Punishment::Closed,
        );
        return Err(Closed);
    }
    Ok(message)
}

fn greet_dialer(node: &Arc<Node>, wire: &mut Wire, version: Version) -> Result<PeerStart, Closed> {
    check_version(node, wire, &version)?;
    if !has_slot(node, wire.address) {
        return Err(Closed);
    }
    let association = match (node.config.streams, version.association_id) {
        (Some(_), Some(AssociationId::Uuid(id))) => Some(AssociationId::Uuid(id)),
        _ => None,
    };
    let peer = Arc::new(Peer::new(wire.id, wire.address, true, wire.link.clone()));
    {
        let mut facts = peer.facts.lock();
        facts.version = Some(version.clone());
        facts.association = association;
    }
    add_peer(node, &peer);
    record(node, &peer, StreamType::General, version.into());
    wire.link
        .send(node, own_version(node, wire.address, association))?;
    wire.link.send(node, Message::Verack)?;
    Ok(PeerStart {
        peer,
        stream: StreamType::General,
        owes_protoconf: true,
    })
}

fn greet_listener(node: &Arc<Node>, wire: &mut Wire) -> Result<PeerStart, Closed> {
    let own_id = node
        .config
        .streams
        .map(|_| AssociationId::Uuid(Uuid::new_v4()));
    wire.link
        .send(node, own_version(node, wire.address, own_id))?;
    wire.link.send(node, Message::Verack)?;
    let Message::Version(version) = read_first(node, wire)? else {
        punish(
            node,
            wire,
            "createstrm",
            "a message before version",
            Punishment::Closed,
        );
        return Err(Closed);
    };
    check_version(node, wire, &version)?;
    let peer = Arc::new(Peer::new(wire.id, wire.address, false, wire.link.clone()));
    {
        let mut facts = peer.facts.lock();
        facts.association = own_id.filter(|_| version.association_id == own_id);
        facts.version = Some((*version).clone());
    }
    add_peer(node, &peer);
    record(node, &peer, StreamType::General, Message::Version(version));
    if let Some(address) = node.config.own_address {
        let addresses = vec![timestamped(node, address)];
        wire.link.send(node, Addr { addresses })?;
    }
    if node.config.known_addresses.len() < ENOUGH_ADDRESSES {
        wire.link.send(node, Message::GetAddr)?;
    }
    wire.link.send(node, protoconf(node))?;
    Ok(PeerStart {
        peer,
        stream: StreamType::General,
        owes_protoconf: false,
    })
}

fn check_version(node: &Node, wire: &Wire, version: &Version) -> Result<(), Closed> {
    let is_own = version
        .nonce
        .is_some_and(|nonce| node.state().nonces.contains(&nonce));
    if is_own {
        punish(node, wire, "version", "its own nonce", Punishment::Closed);
        return Err(Closed);
    }
    let refuse = |code, text: &str, rule, punishment| {
        let _ = wire.link.send(node, Reject::new("version", code, text));
        punish(node, wire, "version", rule, punishment);
        Err(Closed)
    };
    if version.version < MIN_VERSION {
        let text = "protocol version must be 209 or greater";
        return refuse(
            RejectCode::OBSOLETE,
            text,
            "an old version",
            Punishment::Closed,
        );
    }
    let agent = version.user_agent.clone().unwrap_or_default().to_string();
    let contains = |parts: &[&str]| parts.iter().any(|part| agent.contains(part));
    let code = RejectCode::NONSTANDARD;
    match node.config.user_agent_rule {
        UserAgentRule::RejectForks if contains(&["ABC", "Cash", "Unlimited"]) => refuse(
            code,
            "unsupported user agent",
            "the user agent",
            Punishment::Closed,
        ),
        UserAgentRule::BanOthers if !contains(&["Bitcoin SV", "BSV"]) => {
            let text = "Only Bitcoin SV clients are supported";
            refuse(code, text, "the user agent", Punishment::Banned)
        }
        _ => Ok(()),
    }
}

/// Joins a connection to the peer of its association.
fn join_stream(
    node: &Arc<Node>,
    wire: &mut Wire,
    request: &CreateStrm,
) -> Result<PeerStart, Closed> {
    let find = |peer: &&Arc<Peer>| peer.facts.lock().association == Some(request.association_id);
    let found = node.state().peers.values().find(find).cloned();
    let refuse = |rule| {
        punish(node, wire, "createstrm", rule, Punishment::Closed);
        Err(Closed)
    };
    let Some(peer) = found else {
        // The peer may have closed its first connection before this message arrived.
        let was_known = node.state().associations.contains(&request.association_id);
        return if was_known {
            Err(Closed)
        } else {
            refuse("an unknown association")
        };
    };
    if peer.address.ip() != wire.address.ip() {
        return refuse("a stream from another address");
    }
    let kind = request.stream_type;
    {
        let mut facts = peer.facts.lock();
        if facts.streams.iter().any(|(one, _)| *one == kind) {
            drop(facts);
            return refuse("a stream that exists");
        }
        facts.streams.push((kind, wire.link.clone()));
    }
    record(node, &peer, kind, Message::CreateStrm(request.clone()));
    let ack = StreamAck {
        association_id: request.association_id,
        stream_type: kind,
    };
    match node.config.streams {
        Some(JoinOrder::AckFirst) => {
            wire.link.send(node, ack)?;
            wire.link.send(node, Message::Verack)?;
        }
        Some(JoinOrder::VerackFirst) | None => {
            wire.link.send(node, Message::Verack)?;
            wire.link.send(node, ack)?;
        }
    }
    Ok(PeerStart {
        peer,
        stream: kind,
        owes_protoconf: true,
    })
}

fn open_stream(
    node: &Arc<Node>,
    wire: &mut Wire,
    peer: &Arc<Peer>,
    id: AssociationId,
) -> Result<PeerStart, Closed> {
    let request = CreateStrm {
        association_id: id,
        stream_type: StreamType::Data1,
        stream_policy: StreamPolicy::BlockPriority.name().into(),
    };
    wire.link.send(node, request)?;
    let deadline = Instant::now() + node.config.handshake_timeout;
    let Ok(Some(frame)) = wire.next_frame(deadline) else {
        return Err(Closed);
    };
    let answer = decode(&frame.command, frame.payload);
    if !matches!(answer, Ok(Message::StreamAck(_))) {
        punish(
            node,
            wire,
            &frame.command,
            "an answer other than streamack",
            Punishment::Closed,
        );
        return Err(Closed);
    }
    let links = &mut peer.facts.lock().streams;
    links.push((StreamType::Data1, wire.link.clone()));
    node.update(|_| ());
    Ok(PeerStart {
        peer: peer.clone(),
        stream: StreamType::Data1,
        owes_protoconf: false,
    })
}

/// Returns whether the limits leave a slot. A second stream needs none.
fn has_slot(node: &Node, address: SocketAddr) -> bool {
    let state = node.state();
    let same = state
        .peers
        .values()
        .filter(|peer| peer.address.ip() == address.ip());
    same.count() < node.config.max_per_address && state.peers.len() < node.config.max_peers
}

/// Adds a peer. An older connection with the same address is closed.
fn add_peer(node: &Node, peer: &Arc<Peer>) {
    node.update(|state| {
        for other in state.peers.values() {
            if other.address == peer.address {
                other.general.close();
            }
        }
        state.associations.extend(peer.facts.lock().association);
        state.peers.insert(peer.id, peer.clone());
    });
}

fn record(node: &Node, peer: &Peer, stream: StreamType, message: Message) {
    let peer = peer.id;
    node.update(|state| {
        state.received.push(super::Received {
            peer,
            stream,
            message,
        });
    });
}

fn punish(node: &Node, wire: &Wire, command: &str, rule: &'static str, punishment: Punishment) {
    node.punish(wire.id, wire.address.ip(), command, rule, punishment);
}

fn own_version(node: &Node, receiver: SocketAddr, association: Option<AssociationId>) -> Version {
    Version {
        version: PROTOCOL_VERSION,
        services: node.config.services,
        timestamp: unix_time() as i64,
        receiver: NetworkAddress::new(Services::NONE, receiver),
        sender: Some(NetworkAddress::new(node.config.services, node.address)),
        nonce: Some(node.new_nonce()),
        user_agent: Some(node.config.user_agent.as_str().into()),
        start_height: Some(node.state().chain.tip().0 as i32),
        relay: Some(!node.config.blocks_only),
        association_id: association,
    }
}

pub(super) fn protoconf(node: &Node) -> Protoconf {
    let policies = match node.config.streams {
        Some(_) => "BlockPriority,Default",
        None => "Default",
    };
    Protoconf {
        max_receive_payload: RECEIVE_LIMIT,
        stream_policies: Some(policies.into()),
    }
}

pub(super) fn timestamped(node: &Node, address: SocketAddr) -> TimestampedAddress {
    TimestampedAddress {
        time: unix_time() as u32,
        address: NetworkAddress::new(node.config.services, address),
    }
}

fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
