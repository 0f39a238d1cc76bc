//! A real name server for tests.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};

/// The time limit of its start.
const SOON: Duration = Duration::from_secs(10);
/// The number of attempts when the chosen port was taken in between.
const ATTEMPTS: usize = 5;

/// A running server on its own port. Dropping it kills the process.
pub struct Dnsmasq {
    address: SocketAddr,
    process: Child,
    reader: Option<JoinHandle<()>>,
}

impl Dnsmasq {
    /// Starts the server with these records, and waits until it answers.
    pub fn start(records: &[String]) -> Self {
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

    pub fn address(&self) -> SocketAddr {
        self.address
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
                // Keeps the current user: dnsmasq drops privileges only if it runs as root.
                "--user=root",
                "--group=root",
                // A packet carries thirty addresses, whatever the query allows.
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
            match lines.recv_timeout(SOON) {
                Ok(line) if line.contains("started, version") => return Ok(server),
                Ok(line) => output += &format!("{line}\n"),
                Err(_) => {
                    server.end();
                    return Err(output);
                }
            }
        }
    }

    fn end(&mut self) {
        // An error means that the process has exited.
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

/// Returns the lines that the process writes, until it exits.
fn lines_of(process: &mut Child) -> (Receiver<String>, JoinHandle<()>) {
    let output = BufReader::new(process.stderr.take().unwrap());
    let (sender, lines) = unbounded();
    let reader = thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // The receiver may be gone once the server runs. The server must not block.
            let _ = sender.send(line);
        }
    });
    (lines, reader)
}

/// Returns the path of the program. Panics with instructions if it is not set.
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
