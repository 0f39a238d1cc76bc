//! Headers: iteration, storage and a sync that continues where the last one ended.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{BlockHash, HeaderChain};
use bsv_p2p::{Connection, HeaderStore, Network};

use crate::{TIMEOUT, TestResult, config};

/// Downloads new headers into a file. Returns their number and the chain.
fn sync(node: &LocalNode, path: &Path) -> Result<(usize, HeaderChain), Box<dyn std::error::Error>> {
    let (mut store, mut chain, _) = HeaderStore::open(path, Network::Regtest)?;
    let mut peer = Connection::connect(node.address(), &config())?;
    let mut downloaded = 0;
    loop {
        let headers = peer.headers(&chain.locator(), BlockHash::ZERO, TIMEOUT)?;
        if headers.is_empty() {
            break;
        }
        downloaded += headers.len();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        chain.extend(&headers, u32::try_from(now)?)?;
        store.update(&chain)?;
    }
    store.sync()?;
    Ok((downloaded, chain))
}

#[test]
fn header_sync_resumes_from_the_file() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("headers");
    let node = LocalNode::start()?;
    node.mine(110)?;
    let (downloaded, chain) = sync(&node, &path)?;
    assert_eq!((downloaded, chain.tip()), (110, (110, node.tip())));
    node.mine(2)?;
    let (downloaded, chain) = sync(&node, &path)?;
    assert_eq!((downloaded, chain.tip()), (2, (112, node.tip())));
    Ok(())
}

#[test]
fn header_chain_is_iterated_by_height() -> TestResult {
    let folder = tempfile::tempdir()?;
    let node = LocalNode::start()?;
    node.mine(5)?;
    let (_, chain) = sync(&node, &folder.path().join("headers"))?;

    let mut height = 0;
    for header in &chain {
        assert_eq!(chain.height_of(&header.hash()), Some(height));
        height += 1;
    }
    assert_eq!((height, chain.iter().len()), (6, 6));
    let from_three: Vec<_> = chain.headers(3..).map(|header| header.hash()).collect();
    let expected = [3, 4, 5].map(|height| node.block_hash(height));
    assert!(from_three.into_iter().map(Some).eq(expected));
    assert_eq!(chain.headers(1..=4).nth(2), chain.header_at(3));
    assert_eq!(chain.headers(..3).next_back(), chain.header_at(2));
    assert_eq!(chain.headers(9..).next(), None);
    Ok(())
}

#[test]
fn exported_chain_is_opened_again() -> TestResult {
    let folder = tempfile::tempdir()?;
    let node = LocalNode::start()?;
    node.mine(3)?;
    let (_, chain) = sync(&node, &folder.path().join("headers"))?;
    let copy = folder.path().join("copy");
    HeaderStore::export(&chain, &copy)?;
    let (_, opened, _) = HeaderStore::open(&copy, Network::Regtest)?;
    assert!(opened.iter().eq(&chain));
    Ok(())
}
