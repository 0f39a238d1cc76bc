//! What may be found at an address.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use bsv_p2p::session::NonceRegistry;
use bsv_p2p::wire::{BlockHeader, Headers, Message, Services};
use bsv_p2p::{Connection, ConnectionConfig, Network};
use socket2::{Domain, Socket, Type};

fn listener() -> (TcpListener, String) {
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let listener = TcpListener::bind(address).expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address.to_string())
}

/// An address where nobody listens. Its port is nobody else's as long as the socket is kept.
pub(crate) fn closed_port() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).expect("a free port");
    let address = socket.local_addr().expect("an address").as_socket();
    (socket, address.expect("an address of IPv4").to_string())
}

/// Serves everybody until the test ends.
fn serve(mut conversation: impl FnMut(TcpStream) + Send + 'static) -> String {
    let (listener, address) = listener();
    thread::spawn(move || {
        for stream in listener.incoming() {
            conversation(stream.expect("a client"));
        }
    });
    address
}

/// A server of web pages.
pub(crate) fn http() -> String {
    serve(|mut stream| {
        // Whatever it was, it was no request.
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    })
}

/// A server that takes connections and hangs up.
pub(crate) fn hangs_up() -> String {
    serve(drop)
}

/// A regtest node that answers each question for headers with these.
pub(crate) fn headers(headers: Vec<BlockHeader>) -> String {
    serve(move |stream| {
        let mut config = ConnectionConfig::new(Network::Regtest);
        config.session.services = Services::NETWORK;
        config.session.user_agent = "/scripted:1/".into();
        let mut client = Connection::accept(stream, &config, &NonceRegistry::default())
            .expect("a client that shakes hands");
        assert_eq!(client.peer().user_agent.to_string(), "/bsv-p2p:0.1.0/");
        while let Ok(message) = client.receive() {
            if let Message::GetHeaders(_) = message {
                let headers = headers.clone();
                // The client may have left.
                let _ = client.send(&Headers { headers }.into());
            }
        }
    })
}
