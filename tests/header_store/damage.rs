//! Damaged files: garbage, zeros, flipped bits.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use bsv_p2p::wire::{BlockHeader, ChainRules, HeaderChain};
use bsv_p2p::{HeaderStore, LoadReport, Network};
use proptest::prelude::*;
use test_support::SeededRandom;

use crate::chains::*;

const LEN: usize = BlockHeader::LEN;

fn import(content: &[u8]) -> (HeaderChain, LoadReport) {
    let folder = Folder::with_file(content);
    HeaderStore::import(folder.file(), Network::Regtest).unwrap()
}

/// A header file of regtest in which single bits are flipped.
struct FlippedFile {
    headers: Vec<BlockHeader>,
    folder: Folder,
    file: File,
}

impl FlippedFile {
    fn new(count: usize) -> Self {
        let headers = regtest_headers(count);
        let folder = Folder::with_file(&bytes_of(&headers));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(folder.file());
        Self {
            headers,
            folder,
            file: file.unwrap(),
        }
    }

    fn flip(&mut self, bit: usize) {
        let offset = SeekFrom::Start(bit as u64 / 8);
        let mut byte = [0];
        self.file.seek(offset).unwrap();
        self.file.read_exact(&mut byte).unwrap();
        byte[0] ^= 1 << (bit % 8);
        self.file.seek(offset).unwrap();
        self.file.write_all(&byte).unwrap();
    }

    /// Flips a bit, and checks that the headers before it survive.
    ///
    /// Damage of the last two headers may be a valid header on regtest.
    fn check(&mut self, bit: usize) {
        self.flip(bit);
        let (chain, report) = HeaderStore::import(self.folder.file(), Network::Regtest).unwrap();
        self.flip(bit);
        let damaged_at = bit / 8 / LEN;
        let (loaded, count) = (report.headers as usize, self.headers.len());
        if damaged_at + 2 < count {
            assert_eq!(loaded, damaged_at, "bit {bit}");
        } else {
            assert!(loaded >= damaged_at, "bit {bit}");
        }
        let last = loaded.min(damaged_at).saturating_sub(1);
        let expected = self.headers[last].hash();
        assert_eq!(chain.hash_at(last as u32), Some(expected));
        let removed = (count - loaded) * LEN;
        let expected = (removed > 0).then_some((loaded, removed));
        let damaged = report
            .damaged
            .map(|tail| (tail.height as usize, tail.bytes as usize));
        assert_eq!(damaged, expected, "bit {bit}");
    }
}

#[test]
fn each_flipped_bit_of_short_file_is_located() {
    let mut file = FlippedFile::new(7);
    for bit in 0..7 * LEN * 8 {
        file.check(bit);
    }
}

#[test]
fn flipped_bits_at_batch_boundary_are_located() {
    let mut file = FlippedFile::new(2_010);
    let mut random = SeededRandom::new(3);
    for record in 1_996..2_004 {
        for _ in 0..12 {
            let bit = record * LEN * 8 + random.below(LEN * 8);
            file.check(bit);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flipped_bit_anywhere_is_located(bit in 0..400 * LEN * 8) {
        FlippedFile::new(400).check(bit);
    }

    #[test]
    fn garbage_of_any_content_does_not_panic(
        content in prop::collection::vec(any::<u8>(), 0..1_000),
        kept in 0_usize..5,
    ) {
        let headers = regtest_headers(5);
        let content = [bytes_of(&headers[..kept]), content].concat();
        let folder = Folder::with_file(&content);
        for network in Network::ALL {
            let imported = HeaderStore::import(folder.file(), &network);
            if kept > 0 && network == Network::Regtest {
                prop_assert!(imported.unwrap().1.headers as usize >= kept - 1);
            }
        }
    }
}

#[test]
fn garbage_after_headers_is_removed() {
    let headers = regtest_headers(2_000);
    let good = bytes_of(&headers);
    let mut random = SeededRandom::new(5);
    for len in [1, 79, 80, 81, 800, 200_000] {
        let mut garbage: Vec<u8> = (0..len).map(|_| random.next_u64() as u8).collect();
        garbage[0] |= 1;
        let folder = Folder::with_file(&[&good[..], &garbage].concat());
        let (store, chain, report) = folder.open();
        let damaged = report.damaged.unwrap();
        assert_eq!((damaged.height, damaged.bytes), (2_000, len as u64));
        assert_eq!(chain.tip().0, 1_999);
        assert_same(&folder, &store, &chain);
        drop(store);
        drop(folder.open_intact());
    }
}

#[test]
fn valid_headers_after_damage_are_removed() {
    let headers = regtest_headers(6_000);
    let mut content = bytes_of(&headers);
    content[3_000 * LEN..3_001 * LEN].fill(0);
    let folder = Folder::with_file(&content);
    let (store, chain, report) = folder.open();
    let damaged = report.damaged.unwrap();
    assert_eq!((damaged.height, damaged.bytes), (3_000, 3_000 * 80));
    assert_same(&folder, &store, &chain);
}

#[test]
fn interrupted_creation_counts_as_empty() {
    let genesis = BlockHeader::genesis(&Network::Regtest).to_bytes();
    let torn = [&genesis[..50], &[0; 100]].concat();
    for content in [
        &[0; 1][..],
        &[0; 79],
        &[0; 80],
        &[0; 500_000],
        &genesis[..79],
        &torn,
    ] {
        let folder = Folder::with_file(content);
        let (mut store, chain, report) = folder.open();
        assert_eq!((report.headers, chain.tip().0, store.tip()), (0, 0, None));
        let damaged = report.damaged.unwrap();
        assert_eq!((damaged.height, damaged.bytes), (0, content.len() as u64));
        assert!(folder.content().is_empty());
        store.update(&chain).unwrap();
        assert_same(&folder, &store, &chain);
    }
}

#[test]
fn interrupted_creation_after_checkpoint_counts_as_empty() {
    let headers = regtest_headers(300);
    let checkpoints = [(99, headers[99].hash()), (250, headers[250].hash())];
    let rules = ChainRules::new(Network::Regtest);
    let rules = rules.with_checkpoints(checkpoints).unwrap();
    let content = bytes_of(&headers[100..]);
    for len in 1..200 {
        for zeros in [0, 300] {
            let torn = [&content[..len], &vec![0; zeros]].concat();
            let folder = Folder::with_file(&torn);
            let (store, chain, report) = HeaderStore::open(folder.file(), rules.clone()).unwrap();
            assert_eq!((store.tip(), chain.tip().0, report.headers), (None, 0, 0));
            assert_eq!(report.damaged.unwrap().bytes, torn.len() as u64);
            assert!(folder.content().is_empty());
        }
    }
}

#[test]
fn damaged_genesis_header_is_not_another_network() {
    let headers = regtest_headers(10);
    let mut content = bytes_of(&headers);
    content[40] ^= 1;
    let (chain, report) = import(&content);
    assert_eq!((chain.tip().0, report.headers), (0, 0));
    let damaged = report.damaged.unwrap();
    assert_eq!((damaged.height, damaged.bytes), (0, 800));
    let expected = headers[0].hash().to_string();
    assert!(damaged.to_string().contains(&expected), "{damaged}");
}
