//! Header synchronization over loopback, against receiving and hashing alone.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::local_node::{Chain, LocalNode};
use bsv_p2p::wire::{BlockHeader, MAX_HEADERS};
use bsv_p2p::{Manager, ManagerConfig, Network};

use crate::HEADERS;
use crate::speed::print_times;
use crate::table::Aim;

/// The number of runs of each side, in turns.
const ROUNDS: usize = 3;

const TIMEOUT: Duration = Duration::from_secs(300);

/// The ratio to the baseline that synchronization should reach.
const TARGET: f64 = 0.4;

/// The size of a header in a `headers` message: 80 bytes and a count of 0 transactions.
const ENTRY: usize = BlockHeader::LEN + 1;

pub(crate) fn header_sync() {
    let (node, headers) = node_with_blocks();
    let mut ratios = Vec::new();
    let (mut ours, mut baseline) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let received = receive_and_hash(&headers).as_secs_f64();
        let synchronized = synchronize(&node).as_secs_f64();
        ratios.push(synchronized / received);
        (ours, baseline) = (ours.min(synchronized), baseline.min(received));
    }
    ratios.sort_by(f64::total_cmp);
    let work = format!("sync {HEADERS} headers from a local node");
    let slower = ratios[ROUNDS / 2];
    print_times(
        &work,
        "recv and SHA-256d",
        ours,
        baseline,
        slower,
        Aim::AtLeast(TARGET),
    );
}

/// Returns a node with blocks of a coinbase transaction each, and their headers.
fn node_with_blocks() -> (LocalNode, Vec<BlockHeader>) {
    let mut chain = Chain::with_max_bytes(4 << 30);
    let mut headers = Vec::with_capacity(HEADERS);
    let mut time = BlockHeader::genesis(&Network::Regtest).time;
    for _ in 0..HEADERS {
        // Headers more than two hours ahead of the clock are rejected.
        time += 60;
        let block = chain.template(time, 0).mine();
        chain.accept(&block, time).expect("a valid block");
        headers.push(block.header());
    }
    let address = ([127, 0, 0, 1], 0).into();
    let node = LocalNode::start_with(chain, address, LocalNode::default_config());
    (node.expect("a local node"), headers)
}

fn synchronize(node: &LocalNode) -> Duration {
    let manager = Manager::new(ManagerConfig::new(Network::Regtest)).expect("a configuration");
    let begin = Instant::now();
    manager.start_fixed([node.address()]).expect("threads");
    let (height, _) = manager.sync_headers(TIMEOUT).expect("all headers");
    let elapsed = begin.elapsed();
    assert_eq!(height as usize, HEADERS);
    elapsed
}

/// Receives the same bytes over loopback, in the same portions, and hashes each header.
fn receive_and_hash(headers: &[BlockHeader]) -> Duration {
    let mut bytes = Vec::with_capacity(headers.len() * ENTRY);
    for header in headers {
        bytes.extend_from_slice(&header.to_bytes());
        bytes.push(0);
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0];
            for portion in bytes.chunks(MAX_HEADERS * ENTRY) {
                stream.read_exact(&mut request).expect("a request");
                stream.write_all(portion).expect("a reader");
            }
        });
        let begin = Instant::now();
        let mut stream = TcpStream::connect(address).expect("the sender");
        let mut buffer = vec![0; MAX_HEADERS * ENTRY];
        let mut left = bytes.len();
        while left > 0 {
            let portion = &mut buffer[..left.min(MAX_HEADERS * ENTRY)];
            stream.write_all(&[1]).expect("a listener");
            stream.read_exact(portion).expect("headers");
            left -= portion.len();
            for entry in portion.as_chunks::<ENTRY>().0 {
                let header = entry.first_chunk().expect("80 bytes");
                black_box(BlockHeader::from_bytes(header).hash());
            }
        }
        begin.elapsed()
    })
}
