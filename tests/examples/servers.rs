//! Servers that a tool can encounter at an address.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use bsv_p2p::session::NonceRegistry;
use bsv_p2p::wire::{
    Addr, Block, BlockHeader, EncodedFrame, GetData, GetHeaders, Headers, Inventory, MAX_HEADERS,
    Message, NetworkAddress, Reject, RejectCode, Services, TimestampedAddress, Txid,
};
use bsv_p2p::{Connection, ConnectionConfig, Network};
use socket2::{Domain, Socket, Type};

fn listener() -> (TcpListener, String) {
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let listener = TcpListener::bind(address).expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address.to_string())
}

/// Returns the address of a closed port. The socket reserves the port while it exists.
pub(crate) fn closed_port() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).expect("a free port");
    let address = socket.local_addr().expect("an address").as_socket();
    (socket, address.expect("an address of IPv4").to_string())
}

/// Serves all clients until the test ends.
fn serve(mut conversation: impl FnMut(TcpStream) + Send + 'static) -> String {
    let (listener, address) = listener();
    thread::spawn(move || {
        for stream in listener.incoming() {
            conversation(stream.expect("a client"));
        }
    });
    address
}

/// Runs an HTTP server.
pub(crate) fn http() -> String {
    serve(|mut stream| {
        // The content of the request does not matter.
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    })
}

/// Runs a server that accepts and closes connections.
pub(crate) fn hangs_up() -> String {
    serve(drop)
}

/// Completes the handshake as a regtest node with the user agent `/scripted:1(BSV)/`.
fn shake_hands(stream: TcpStream) -> Connection {
    shake_hands_on(Network::Regtest, stream)
}

/// Completes the handshake as a node with the user agent `/scripted:1(BSV)/`.
fn shake_hands_on(network: Network, stream: TcpStream) -> Connection {
    let mut config = ConnectionConfig::new(network);
    config.session.services = Services::NETWORK;
    config.session.user_agent = "/scripted:1(BSV)/".into();
    let client = Connection::accept(stream, &config, &NonceRegistry::default())
        .expect("a client that shakes hands");
    assert_eq!(
        client.peer_info().user_agent.to_string(),
        "/bsv-p2p:0.1.0(Bitcoin SV)/"
    );
    client
}

/// Runs a regtest node that answers each block request with this payload.
pub(crate) fn block(payload: Vec<u8>) -> String {
    let block = Block::from_payload(payload.into()).expect("something like a block");
    serve(move |stream| {
        let mut client = shake_hands(stream);
        while let Ok(message) = client.receive() {
            if let Message::GetData(_) = message {
                // The client may have disconnected.
                let _ = client.send_unchecked(block.clone());
            }
        }
    })
}

/// Runs a regtest node that calls `answer` for each announced transaction. It first requests and
/// rejects another one.
pub(crate) fn wallet(answer: fn(&mut Connection, Txid)) -> String {
    serve(move |stream| {
        let mut client = shake_hands(stream);
        while let Ok(message) = client.receive() {
            let Message::Inv(inv) = message else {
                continue;
            };
            for entry in inv.inventory {
                if let Inventory::Tx(txid) = entry {
                    ask(&mut client, Txid([7; 32]));
                    reject(&mut client, Txid([7; 32]));
                    answer(&mut client, txid);
                }
            }
        }
    })
}

/// Requests a transaction. The client may have disconnected.
pub(crate) fn ask(client: &mut Connection, txid: Txid) {
    let _ = client.send(GetData::from(vec![Inventory::Tx(txid)]));
}

/// Rejects a transaction. The client may have disconnected.
pub(crate) fn reject(client: &mut Connection, txid: Txid) {
    let mut reject = Reject::new("tx", RejectCode::INSUFFICIENT_FEE, "too\nlittle");
    reject.hash = Some(txid.into());
    let _ = client.send(reject);
}

/// Runs a regtest node that answers a block request with the first half of the block, and then
/// stalls.
pub(crate) fn half_a_block(block: &Block) -> String {
    let frame = EncodedFrame::new(Network::Regtest.magic(), &block.clone().into());
    serve(move |stream| {
        let mut raw = stream.try_clone().expect("a second handle");
        let mut client = shake_hands(stream);
        while let Ok(message) = client.receive() {
            if let Message::GetData(_) = message {
                let half = &frame.payload()[..(80 + frame.payload().len()) / 2];
                // The client may have disconnected.
                let _ = raw.write_all(&[frame.header(), half].concat());
            }
        }
    })
}

/// Runs a regtest node with this user agent, version and height. It sends these addresses once to
/// each client.
pub(crate) fn node(
    user_agent: &str,
    (version, height): (i32, i32),
    addresses: Vec<SocketAddr>,
) -> String {
    node_of(Network::Regtest, user_agent, (version, height), addresses)
}

/// Like [`node`], for any network.
pub(crate) fn node_of(
    network: Network,
    user_agent: &str,
    (version, height): (i32, i32),
    addresses: Vec<SocketAddr>,
) -> String {
    let mut config = ConnectionConfig::new(network);
    config.session.user_agent = user_agent.to_owned();
    config.session.allow_rejected_user_agent = true;
    config.session.protocol_version = version;
    config.session.start_height = height;
    node_with(config, addresses)
}

/// Like [`node`], with any configuration.
pub(crate) fn node_with(config: ConnectionConfig, addresses: Vec<SocketAddr>) -> String {
    serve(move |stream| {
        let mut client = Connection::accept(stream, &config, &NonceRegistry::default())
            .expect("a client that shakes hands");
        while let Ok(message) = client.receive() {
            if let Message::GetAddr = message {
                let told = addresses.iter().map(|address| TimestampedAddress {
                    time: 1_700_000_000,
                    address: NetworkAddress::new(Services::NETWORK, *address),
                });
                let addresses = told.collect();
                // The client may have disconnected.
                let _ = client.send(Addr { addresses });
            }
        }
    })
}

/// Returns the options that find this node by a seed: the seed, a name server that resolves it, and
/// the port of the node.
pub(crate) fn seed(node: SocketAddr) -> [String; 6] {
    let (server, port) = (names([node.ip()]), node.port().to_string());
    [
        "--seed",
        "seed.test",
        "--dns",
        &server,
        "--default-port",
        &port,
    ]
    .map(str::to_owned)
}

/// Runs a name server that resolves every name to these IPv4 addresses.
pub(crate) fn names(addresses: impl IntoIterator<Item = IpAddr>) -> String {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let server = socket.local_addr().expect("an address").to_string();
    let mut records = Vec::new();
    for address in addresses {
        // The name of the question, type A, class IN, 60 s, 4 bytes.
        records.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        match address {
            IpAddr::V4(ip) => records.extend(ip.octets()),
            IpAddr::V6(_) => panic!("{address} is not of IPv4"),
        }
    }
    let count = (records.len() / 16) as u8;
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((len, client)) = socket.recv_from(&mut packet) {
            let name = packet[12..len].iter().position(|byte| *byte == 0);
            let end = 12 + name.expect("the end of a name") + 5;
            let is_v4 = packet[end - 3] == 1;
            let (count, records) = if is_v4 {
                (count, &records[..])
            } else {
                (0, &[][..])
            };
            // An answer, with one question.
            let header = [0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0];
            let answer = [&packet[..2], &header, &packet[12..end], records].concat();
            // The client may be gone.
            let _ = socket.send_to(&answer, client);
        }
    });
    server
}

/// Starts a node that answers every request for headers with `headers`.
pub(crate) fn repeated_headers(headers: Vec<BlockHeader>) -> String {
    header_server(Network::Regtest, move |_| headers.clone())
}

/// Starts a node with a chain of headers, the first of which is genesis.
pub(crate) fn header_chain(network: Network, chain: Vec<BlockHeader>) -> String {
    header_server(network, move |request| {
        let is_known = |header: &BlockHeader| request.locator.contains(&header.hash());
        let common = chain.iter().rposition(is_known).unwrap_or(0);
        let answer = chain[common + 1..].iter().take(MAX_HEADERS);
        answer.copied().collect()
    })
}

fn header_server(
    network: Network,
    answer: impl Fn(&GetHeaders) -> Vec<BlockHeader> + Send + 'static,
) -> String {
    serve(move |stream| {
        let mut client = shake_hands_on(network.clone(), stream);
        while let Ok(message) = client.receive() {
            if let Message::GetHeaders(request) = message {
                let headers = answer(&request);
                // The client may have closed the connection.
                let _ = client.send_unchecked(Headers { headers });
            }
        }
    })
}
