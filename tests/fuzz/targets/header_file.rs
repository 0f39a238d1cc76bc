//! Header files with any content: loading never panics, and keeps a valid prefix.
//!
//! Input: the network (0 to 2 for mainnet, testnet and STN, others for regtest), the number of
//! valid headers at the start of the file, then edits of 4 bytes each: the kind of edit, a position
//! in two bytes, a value. See [`edit`].

use std::fs;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use bsv_p2p::wire::{BlockHeader, CompactTarget, MerkleRoot};
use bsv_p2p::{HeaderStore, Network};

use super::input::Input;

/// The target of regtest.
const EASY: CompactTarget = CompactTarget(0x207f_ffff);

/// Loads the file that an input describes, in a folder of its own.
pub(crate) fn run(data: &[u8]) {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let mut input = Input(data);
    let network = match input.u8() {
        0 => Network::Mainnet,
        1 => Network::Testnet,
        2 => Network::Stn,
        _ => Network::Regtest,
    };
    let mut content = valid_headers(&network, usize::from(input.u8()) % 40);
    while !input.0.is_empty() {
        edit(&mut content, &mut input);
    }
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let name = format!("bsv-p2p-header-file-{}-{run}", process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).expect("a new folder");
    load(&folder.join("headers"), &network, &content);
    fs::remove_dir_all(&folder).expect("the folder is still there");
}

/// Returns the genesis header and, on regtest, headers on top of it.
fn valid_headers(network: &Network, count: usize) -> Vec<u8> {
    let mut header = BlockHeader::genesis(network);
    let mut content = Vec::new();
    for number in 0..count {
        if number > 0 {
            if *network != Network::Regtest {
                break;
            }
            header = solve(BlockHeader {
                version: 0x2000_0000,
                previous: header.hash(),
                merkle_root: MerkleRoot([1; 32]),
                time: header.time + 1,
                bits: EASY,
                nonce: 0,
            });
        }
        content.extend(header.to_bytes());
    }
    content
}

fn solve(mut header: BlockHeader) -> BlockHeader {
    while EASY.check(header.hash(), EASY).is_err() {
        header.nonce += 1;
    }
    header
}

/// Changes a byte, cuts the end off, appends bytes of the input or repeats a header.
fn edit(content: &mut Vec<u8>, input: &mut Input<'_>) {
    let (kind, position, value) = (input.u8(), usize::from(input.u16()), input.u8());
    match kind % 4 {
        0 => {
            if let Some(byte) = content.get_mut(position) {
                *byte ^= value;
            }
        }
        1 => content.truncate(position),
        2 => content.extend(input.take(usize::from(value))),
        _ => {
            let start = position * BlockHeader::LEN;
            if let Some(header) = content.get(start..start + BlockHeader::LEN) {
                content.extend(header.to_vec());
            }
        }
    }
}

fn load(path: &Path, network: &Network, content: &[u8]) {
    fs::write(path, content).expect("a file");
    let imported = HeaderStore::import(path, network);
    let opened = HeaderStore::open(path, network);
    let left = fs::read(path).expect("the file is still there");
    let (chain, report) = match (imported, opened) {
        (Ok(imported), Ok((store, chain, report))) => {
            assert_eq!(imported.0.tip(), chain.tip());
            assert_eq!(imported.1, report);
            assert_eq!(store.tip(), (report.headers > 0).then(|| chain.tip()));
            (chain, report)
        }
        (Err(imported), Err(opened)) => {
            assert_eq!(imported.to_string(), opened.to_string());
            assert_eq!(left, content, "a refused file was changed");
            return;
        }
        (imported, opened) => panic!("import: {imported:?}, open: {opened:?}"),
    };
    let valid = report.headers as usize * BlockHeader::LEN;
    assert_eq!(left, content[..valid]);
    let damaged = report.damaged.map_or(0, |damaged| damaged.bytes);
    assert_eq!(damaged, (content.len() - valid) as u64);
    if report.headers > 0 {
        let headers = chain.headers(..).flat_map(|header| header.to_bytes());
        assert_eq!(headers.collect::<Vec<u8>>(), left);
    }
    let (_, again, report) = HeaderStore::open(path, network).expect("a repaired file");
    assert_eq!((again.tip(), report.damaged), (chain.tip(), None));
}
