//! The sender of a generated block, in a process of its own, so that its memory is not counted.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use bsv_p2p::wire::{
    BlockHeader, Encode, MerkleAccumulator, Message, Txid, sha256d, write_compact_size,
};
use bsv_p2p::{Connection, ConnectionConfig, Network};
use sha2::{Digest, Sha256};

/// The length of each transaction.
pub(crate) const TRANSACTION_LEN: usize = 500;
/// The length of the bytes before the transactions: the block header, and the count in five bytes.
pub(crate) const HEADER_LEN: usize = 85;
/// The number of transactions in one write.
const GATHERED: u32 = 500;

/// A block of transactions that differ only in their lock time.
struct Blueprint {
    count: u32,
    header: BlockHeader,
    frame_header: Vec<u8>,
}

/// Serves a block of about `len` bytes. First prints the address and the description of the block.
pub(crate) fn run(len: u64) {
    let blueprint = Arc::new(Blueprint::new(len));
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    for listener in &listeners {
        println!("{}", listener.local_addr().expect("an address"));
    }
    println!("{}\n{}", blueprint.header.hash(), blueprint.len());
    let [node, raw] = listeners;
    let served = blueprint.clone();
    thread::spawn(move || {
        for stream in raw.incoming() {
            // The client may have disconnected.
            let _ = served.send(&mut stream.expect("a connection"));
        }
    });
    for stream in node.incoming() {
        blueprint.serve(stream.expect("a connection"));
    }
}

pub(crate) fn frame_header_len(len: u64) -> u64 {
    if len > u64::from(u32::MAX) { 44 } else { 24 }
}

/// Returns a transaction without inputs. The script of its only output fills the rest except the
/// lock time.
fn transaction() -> Vec<u8> {
    let script = TRANSACTION_LEN - 4 - 1 - 1 - 8 - 3 - 4;
    let mut bytes = vec![1, 0, 0, 0, 0, 1];
    bytes.extend([0; 8]);
    write_compact_size(script as u64, &mut bytes);
    bytes.resize(TRANSACTION_LEN, 0x51);
    bytes
}

fn number(transaction: &mut [u8], number: u32) {
    transaction[TRANSACTION_LEN - 4..].copy_from_slice(&number.to_le_bytes());
}

impl Blueprint {
    fn new(len: u64) -> Self {
        let count = u32::try_from(len / TRANSACTION_LEN as u64).expect("a count");
        let mut tree = MerkleAccumulator::new();
        let mut one = transaction();
        for at in 0..count {
            number(&mut one, at);
            tree.push(Txid(sha256d(&one).0));
        }
        let header = BlockHeader {
            merkle_root: tree.root().0,
            ..BlockHeader::genesis(&Network::Regtest)
        };
        let mut blueprint = Self {
            count,
            header,
            frame_header: Vec::new(),
        };
        let payload_len = blueprint.len();
        let mut frame_header = Network::Regtest.magic().0.to_vec();
        if frame_header_len(payload_len) == 44 {
            frame_header.extend(b"extmsg\0\0\0\0\0\0");
            frame_header.extend([0xff; 4]);
            frame_header.extend([0; 4]);
            frame_header.extend(b"block\0\0\0\0\0\0\0");
            frame_header.extend(payload_len.to_le_bytes());
        } else {
            let mut hasher = Hasher(Sha256::new());
            blueprint.write(&mut hasher).expect("no sink refuses");
            let hash = Sha256::digest(hasher.0.finalize());
            frame_header.extend(b"block\0\0\0\0\0\0\0");
            frame_header.extend((payload_len as u32).to_le_bytes());
            frame_header.extend(&hash[..4]);
        }
        blueprint.frame_header = frame_header;
        blueprint
    }

    fn len(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.count) * TRANSACTION_LEN as u64
    }

    /// Writes the payload.
    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut begin = Vec::new();
        self.header.encode(&mut begin);
        begin.push(0xfe);
        begin.extend(self.count.to_le_bytes());
        assert_eq!(begin.len(), HEADER_LEN);
        out.write_all(&begin)?;
        let mut some = transaction().repeat(GATHERED as usize);
        for first in (0..self.count).step_by(GATHERED as usize) {
            let many = GATHERED.min(self.count - first);
            for (one, at) in some.chunks_mut(TRANSACTION_LEN).zip(first..first + many) {
                number(one, at);
            }
            out.write_all(&some[..many as usize * TRANSACTION_LEN])?;
        }
        Ok(())
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(&self.frame_header)?;
        self.write(stream)
    }

    /// Runs a node that answers every request with its block.
    fn serve(&self, stream: TcpStream) {
        let config = ConnectionConfig::new(Network::Regtest);
        let mut raw = stream.try_clone().expect("a descriptor");
        let mut peer = Connection::accept(stream, &config, &Default::default()).expect("a peer");
        raw.set_write_timeout(None).expect("a socket");
        while let Ok(message) = peer.receive() {
            if matches!(message, Message::GetData(_))
                && let Err(error) = self.send(&mut raw)
            {
                assert!(matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ));
                return;
            }
        }
    }
}

struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
