//! A real name server.
//!
//! It is the program named by the environment variable `DNSMASQ`; without it these tests are ignored:
//! `DNSMASQ=$(.ci/fetch-dnsmasq target/dnsmasq) cargo test --test discovery -- --include-ignored`.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use bsv_p2p::discovery::{DnsResolver, ResolveError, SeedResolver, Until};
use crossbeam_channel::{Receiver, unbounded};

use crate::name_server::ENOUGH;
use crate::packets::ips;

/// How often another port is tried when the chosen one was taken meanwhile.
const ATTEMPTS: usize = 5;

/// A running server on a port of its own; dropping it kills it.
struct Dnsmasq {
    address: SocketAddr,
    process: Child,
    reader: Option<JoinHandle<()>>,
}

impl Dnsmasq {
    /// Starts the server with these records, and returns when it serves.
    fn start(records: &[String]) -> Self {
        let mut output = String::new();
        for _ in 0..ATTEMPTS {
            match Self::launch(records) {
                Ok(server) => return server,
                Err(why) if why.contains("in use") => output = why,
                Err(why) => panic!("dnsmasq ended at once: {why}"),
            }
        }
        panic!("no free port in {ATTEMPTS} attempts: {output}");
    }

    fn launch(records: &[String]) -> Result<Self, String> {
        let address = {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.local_addr().unwrap()
        };
        let binary = binary();
        let mut process = Command::new(&binary)
            .args([
                "--no-daemon",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
                "--listen-address=127.0.0.1",
                "--local=/test/",
                // Nobody to become; only one who is root becomes anybody.
                "--user=root",
                "--group=root",
                // A packet carries thirty addresses, whatever the question allows.
                "--edns-packet-max=512",
            ])
            .arg(format!("--port={}", address.port()))
            .args(records)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", binary.display()));
        let (lines, reader) = lines_of(&mut process);
        let mut server = Self {
            address,
            process,
            reader: Some(reader),
        };
        let mut output = String::new();
        loop {
            match lines.recv_timeout(ENOUGH) {
                Ok(line) if line.contains("started, version") => return Ok(server),
                Ok(line) => output += &format!("{line}\n"),
                Err(_) => {
                    server.end();
                    return Err(output);
                }
            }
        }
    }

    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        DnsResolver::new(vec![self.address]).resolve(name, &Until::after(ENOUGH))
    }

    fn end(&mut self) {
        // An error means that the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the process writes, line by line until it ends.
fn lines_of(process: &mut Child) -> (Receiver<String>, JoinHandle<()>) {
    let output = BufReader::new(process.stderr.take().unwrap());
    let (sender, lines) = unbounded();
    let reader = thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // Nobody reads on once the server runs; it must not stop for that.
            let _ = sender.send(line);
        }
    });
    (lines, reader)
}

/// The path of the program, or a panic that tells how to get it.
fn binary() -> PathBuf {
    const HELP: &str = "get it with `export DNSMASQ=$(.ci/fetch-dnsmasq target/dnsmasq)`";
    let Some(variable) = std::env::var_os("DNSMASQ") else {
        panic!("DNSMASQ is not set to the path of dnsmasq: {HELP}");
    };
    let path = PathBuf::from(variable);
    assert!(
        path.is_file(),
        "DNSMASQ is {}, which is no file: {HELP}",
        path.display()
    );
    path
}

fn record(name: &str, addresses: &str) -> String {
    format!("--host-record={name},{addresses}")
}

#[test]
#[ignore = "needs dnsmasq: DNSMASQ"]
fn a_real_server_tells_addresses_of_both_families_and_those_behind_another_name() {
    let server = Dnsmasq::start(&[
        record("seed.test", "192.0.2.1,2001:db8::1"),
        record("four.test", "192.0.2.4"),
        record("six.test", "2001:db8::6"),
        "--cname=alias.test,seed.test".into(),
    ]);
    for (name, addresses) in [
        ("seed.test", ips(&["192.0.2.1", "2001:db8::1"])),
        ("SEED.Test.", ips(&["192.0.2.1", "2001:db8::1"])),
        ("alias.test", ips(&["192.0.2.1", "2001:db8::1"])),
        ("four.test", ips(&["192.0.2.4"])),
        ("six.test", ips(&["2001:db8::6"])),
    ] {
        assert_eq!(server.resolve(name), Ok(addresses), "{name}");
    }
}

#[test]
#[ignore = "needs dnsmasq: DNSMASQ"]
fn a_real_server_sends_sixty_addresses_over_tcp() {
    let mut known: Vec<IpAddr> = (1..=60).map(|last| [192, 0, 2, last].into()).collect();
    let records: Vec<_> = known
        .iter()
        .map(|ip| record("many.test", &ip.to_string()))
        .collect();
    let server = Dnsmasq::start(&records);
    // The server gives them in an order of its own.
    let mut found = server.resolve("many.test").unwrap();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

#[test]
#[ignore = "needs dnsmasq: DNSMASQ"]
fn a_real_server_says_that_there_is_no_such_name() {
    let server = Dnsmasq::start(&[record("seed.test", "192.0.2.1")]);
    let name = "other.test".to_owned();
    let found = server.resolve(&name);
    assert_eq!(found, Err(ResolveError::NotFound { name }));
}
