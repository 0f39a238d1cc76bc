//! Chains and files for the tests.

use std::fs;
use std::path::{Path, PathBuf};

use bsv_p2p::wire::{BlockHash, BlockHeader, ChainRules, CompactTarget, HeaderChain, MerkleRoot};
use bsv_p2p::{HeaderStore, HeaderStoreError, LoadReport, Network};
use tempfile::TempDir;

/// The clock of the tests, in Unix seconds.
pub(crate) const NOW: u32 = 1_700_000_000;

/// The easiest target of regtest.
pub(crate) const EASY: CompactTarget = CompactTarget(0x207f_ffff);

/// Mines `count` headers of minimum difficulty that follow `parent`. Branches of different `tag`
/// have different blocks.
pub(crate) fn mine_after(parent: &BlockHeader, count: usize, tag: u8) -> Vec<BlockHeader> {
    mine_spaced(parent, count, tag, 600)
}

/// Like [`mine_after`], with the given number of seconds between the headers.
pub(crate) fn mine_spaced(
    parent: &BlockHeader,
    count: usize,
    tag: u8,
    spacing: u32,
) -> Vec<BlockHeader> {
    let mut headers: Vec<BlockHeader> = Vec::with_capacity(count);
    let mut previous = parent.hash();
    let mut time = parent.time;
    for _ in 0..count {
        time += spacing;
        let mut header = BlockHeader {
            version: 4,
            previous,
            merkle_root: MerkleRoot([tag; 32]),
            time,
            bits: EASY,
            nonce: 0,
        };
        while EASY.check(header.hash(), EASY).is_err() {
            header.nonce += 1;
        }
        previous = header.hash();
        headers.push(header);
    }
    headers
}

/// Returns the genesis header of regtest and `count - 1` headers after it.
pub(crate) fn regtest_headers(count: usize) -> Vec<BlockHeader> {
    let genesis = BlockHeader::genesis(&Network::Regtest);
    let mut headers = vec![genesis];
    headers.extend(mine_after(&genesis, count - 1, 1));
    headers
}

pub(crate) fn regtest_chain(headers: &[BlockHeader]) -> HeaderChain {
    chain_of(Network::Regtest, headers)
}

pub(crate) fn chain_of(rules: impl Into<ChainRules>, headers: &[BlockHeader]) -> HeaderChain {
    let mut chain = HeaderChain::new(rules);
    chain.extend(headers, NOW).unwrap();
    chain
}

/// Returns the bytes of the headers, one after another.
pub(crate) fn bytes_of<'a>(headers: impl IntoIterator<Item = &'a BlockHeader>) -> Vec<u8> {
    headers.into_iter().flat_map(|one| one.to_bytes()).collect()
}

/// Returns the bytes of the active chain.
pub(crate) fn bytes_of_chain(chain: &HeaderChain) -> Vec<u8> {
    bytes_of(chain.headers(..))
}

/// A folder that is removed after the test.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Creates a folder with a header file of this content.
    pub(crate) fn with_file(content: &[u8]) -> Self {
        let folder = Self::new();
        fs::write(folder.file(), content).unwrap();
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the header file.
    pub(crate) fn file(&self) -> PathBuf {
        self.path().join("headers")
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        fs::read(self.file()).unwrap()
    }

    /// Returns the names of all files, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Opens the header file of regtest.
    pub(crate) fn open(&self) -> (HeaderStore, HeaderChain, LoadReport) {
        HeaderStore::open(self.file(), Network::Regtest).unwrap()
    }

    /// Opens a header file of regtest that must be intact.
    pub(crate) fn open_intact(&self) -> (HeaderStore, HeaderChain) {
        let (store, chain, report) = self.open();
        assert_eq!(report.damaged, None);
        (store, chain)
    }

    /// Expects that opening fails and does not change the file.
    pub(crate) fn open_error(&self, rules: impl Into<ChainRules>) -> HeaderStoreError {
        let before = self.content();
        let error = HeaderStore::open(self.file(), rules).unwrap_err();
        assert_eq!(self.content(), before);
        error
    }
}

/// Expects that the file, the store and the chain contain the same headers.
pub(crate) fn assert_same(folder: &Folder, store: &HeaderStore, chain: &HeaderChain) {
    assert_eq!(store.tip(), Some(chain.tip()));
    assert!(folder.content() == bytes_of_chain(chain));
}

/// Returns the hash at the end of a list of headers.
pub(crate) fn last_hash(headers: &[BlockHeader]) -> BlockHash {
    headers.last().unwrap().hash()
}
