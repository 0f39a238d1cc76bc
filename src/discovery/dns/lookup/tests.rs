//! Tests of the search list and of the order of name servers.

use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};

use super::*;

const ENOUGH: Duration = Duration::from_secs(20);

/// A name server that records the queried names.
///
/// It resolves one name to one address, and returns the code `otherwise` for others. An empty
/// packet stops it.
struct Server {
    address: SocketAddr,
    asked: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(known: &'static str, otherwise: ResponseCode) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (sender, asked) = channel();
        let thread = thread::spawn(move || {
            let mut packet = [0; 512];
            loop {
                let (length, client) = socket.recv_from(&mut packet).unwrap();
                if length == 0 {
                    return;
                }
                let mut message = Message::from_vec(&packet[..length])
                    .unwrap()
                    .into_response();
                let query = message.queries[0].clone();
                if query.name().to_string() == known {
                    if query.query_type() == RecordType::A {
                        let a = RData::A(A::new(192, 0, 2, 1));
                        message.add_answer(Record::from_rdata(query.name().clone(), 60, a));
                    }
                } else {
                    message.metadata.response_code = otherwise;
                }
                if query.query_type() == RecordType::A {
                    let _ = sender.send(query.name().to_string());
                }
                socket.send_to(&message.to_vec().unwrap(), client).unwrap();
            }
        });
        Self {
            address,
            asked,
            thread: Some(thread),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let waker = UdpSocket::bind("127.0.0.1:0").unwrap();
        waker.send_to(&[], self.address).unwrap();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn configuration(servers: &[&Server]) -> Configuration {
    Configuration {
        servers: servers.iter().map(|server| server.address).collect(),
        search: vec!["one.test".into(), "two.test".into(), "three.test".into()],
        ndots: 1,
    }
}

#[test]
fn search_list_is_tried_until_name_is_found() {
    let server = Server::start("seed.two.test.", ResponseCode::NXDomain);
    let config = configuration(&[&server]);
    let until = Deadline::after(ENOUGH);
    let found = look_up(&config, "seed", false, &until);
    assert_eq!(found, Ok(vec![[192, 0, 2, 1].into()]));
    assert_eq!(server.asked(), ["seed.one.test.", "seed.two.test."]);

    let name = "seed".to_owned();
    let absolute = look_up(&config, "seed", true, &until);
    assert_eq!(absolute, Err(ResolveError::NotFound { name }));
    assert_eq!(server.asked(), ["seed."]);
}

#[test]
fn server_failure_is_reported_after_search_list() {
    let server = Server::start("seed.two.test.", ResponseCode::ServFail);
    let config = configuration(&[&server]);
    let until = Deadline::after(ENOUGH);
    let found = look_up(&config, "seed", false, &until);
    assert_eq!(found, Ok(vec![[192, 0, 2, 1].into()]));
    let failed = look_up(&config, "other", false, &until);
    assert!(
        matches!(&failed, Err(ResolveError::NoAnswer { name, servers })
            if name == "other" && servers.len() == 1),
        "{failed:?}"
    );
}

#[test]
fn name_too_long_with_domain_is_not_queried() {
    let server = Server::start("-", ResponseCode::NXDomain);
    let config = configuration(&[&server]);
    let label = "a".repeat(63);
    let host = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    let found = look_up(&config, &host, false, &Deadline::after(ENOUGH));
    assert_eq!(found, Err(ResolveError::NotFound { name: host.clone() }));
    assert_eq!(server.asked(), [format!("{host}.")]);
}

#[test]
fn first_server_that_resolves_ends_the_lookup() {
    let [first, second, third] = [
        ("-", ResponseCode::Refused),
        ("seed.test.", ResponseCode::NXDomain),
        ("seed.test.", ResponseCode::NXDomain),
    ]
    .map(|(known, otherwise)| Server::start(known, otherwise));
    let config = configuration(&[&first, &second, &third]);
    let found = look_up(&config, "seed.test", false, &Deadline::after(ENOUGH));
    assert_eq!(found, Ok(vec![[192, 0, 2, 1].into()]));
    let asked = [&first, &second, &third].map(Server::asked);
    assert_eq!(asked.map(|names| names.len()), [1, 1, 0]);
}
