//! A crash at each byte of a write leaves a valid chain.

use bsv_p2p::wire::BlockHeader;
use bsv_p2p::{HeaderStore, Network};

use crate::chains::*;

const LEN: usize = BlockHeader::LEN;

/// Opens a file of regtest with this content and expects the first `headers` of `expected`.
fn assert_loads(content: &[u8], expected: &[BlockHeader], what: &str) {
    let folder = Folder::with_file(content);
    let (mut store, mut chain, report) = folder.open();
    let count = expected.len();
    assert_eq!(report.headers as usize, count, "{what}");
    assert!(folder.content() == bytes_of(expected), "{what}");
    let removed = content.len() - count * LEN;
    let damaged = report
        .damaged
        .map(|tail| (tail.height as usize, tail.bytes as usize));
    assert_eq!(damaged, (removed > 0).then_some((count, removed)), "{what}");
    assert_eq!(store.tip().map(|tip| tip.0 as usize), count.checked_sub(1));
    // The store continues with other headers.
    let last = *expected.last().unwrap_or(chain.header_at(0).unwrap());
    chain.extend(&mine_after(&last, 2, 9), NOW).unwrap();
    store.update(&chain).unwrap();
    assert_same(&folder, &store, &chain);
}

#[test]
fn append_interrupted_at_any_byte_loses_torn_header() {
    let headers = regtest_headers(5);
    let content = bytes_of(&headers);
    for len in 0..=content.len() {
        assert_loads(
            &content[..len],
            &headers[..len / LEN],
            &format!("{len} bytes"),
        );
    }
}

#[test]
fn zeros_after_each_byte_of_append_are_removed() {
    let headers = regtest_headers(4);
    let content = bytes_of(&headers);
    for len in 0..=content.len() {
        for zeros in [1, LEN - len % LEN + 100] {
            let torn = [&content[..len], &vec![0; zeros]].concat();
            // The written bytes may end with zeros themselves.
            let whole = (0..=4)
                .rev()
                .find(|count| torn.starts_with(&content[..count * LEN]));
            let whole = whole.unwrap();
            assert_loads(
                &torn,
                &headers[..whole],
                &format!("{len} bytes, {zeros} zeros"),
            );
        }
    }
}

#[test]
fn reorganization_interrupted_at_any_byte_loses_torn_part() {
    let trunk = regtest_headers(5);
    let old = mine_after(&trunk[4], 3, 2);
    let new = mine_after(&trunk[4], 4, 3);
    let trunk_bytes = bytes_of(&trunk);
    let (old_bytes, new_bytes) = (bytes_of(&old), bytes_of(&new));
    for len in 0..=new_bytes.len() {
        // Truncated, then appended.
        let written = [&trunk_bytes[..], &new_bytes[..len]].concat();
        let expected: Vec<_> = trunk.iter().chain(&new[..len / LEN]).copied().collect();
        assert_loads(
            &written,
            &expected,
            &format!("{len} bytes of the new branch"),
        );

        // The length was written before the content.
        let zeros = vec![0; new_bytes.len() - len];
        let zeroed = [&written[..], &zeros].concat();
        let whole = (0..=4)
            .rev()
            .find(|count| zeroed[trunk_bytes.len()..].starts_with(&new_bytes[..count * LEN]))
            .unwrap();
        let expected: Vec<_> = trunk.iter().chain(&new[..whole]).copied().collect();
        assert_loads(&zeroed, &expected, &format!("{len} bytes, then zeros"));
    }
    // The new bytes are written over old ones, as after a lost truncation.
    for len in 0..=new_bytes.len() {
        let rest = old_bytes.get(len..).unwrap_or_default();
        let mixed = [&trunk_bytes[..], &new_bytes[..len], rest].concat();
        let folder = Folder::with_file(&mixed);
        let (_, chain, report) = folder.open();
        let whole: Vec<_> = trunk.iter().chain(&new[..len / LEN]).copied().collect();
        let (loaded, complete) = (report.headers as usize, whole.len());
        assert!(folder.content() == bytes_of_chain(&chain));
        assert_eq!(chain.tip().0 as usize + 1, loaded);
        if len < LEN {
            // Nothing of the new branch is complete, so the old one may be intact.
            assert!(loaded >= trunk.len(), "{len}: {loaded}");
        } else {
            // An intact old header links to a header that is not there; see the next test.
            assert!(
                loaded + 1 >= complete && loaded <= complete + 1,
                "{len}: {loaded}"
            );
        }
        let sure = loaded
            .min(complete - usize::from(len < LEN))
            .min(trunk.len());
        assert!(folder.content()[..sure * LEN] == bytes_of(&whole[..sure]));
    }
}

#[test]
fn last_new_header_before_old_ones_is_lost() {
    let trunk = regtest_headers(5);
    let old = mine_after(&trunk[4], 4, 2);
    let new = mine_after(&trunk[4], 2, 3);
    // A header before an intact one to which it does not link counts as damaged, as on regtest its
    // own hash is no evidence.
    let content = bytes_of(trunk.iter().chain(&new).chain(&old[2..]));
    let expected: Vec<_> = trunk.iter().chain(&new[..1]).copied().collect();
    assert_loads(&content, &expected, "old headers after new ones");
}

#[test]
fn mainnet_keeps_header_before_damage() {
    let mainnet = include_bytes!("../vectors/headers/mainnet-0-2016.bin");
    for count in [1, 2, 100, 1_999, 2_000, 2_001, 2_015] {
        // Intact headers that do not link: one is missing.
        let content = [&mainnet[..count * LEN], &mainnet[(count + 1) * LEN..]].concat();
        let folder = Folder::with_file(&content);
        let (chain, report) = HeaderStore::import(folder.file(), Network::Mainnet).unwrap();
        assert_eq!(
            (report.headers as usize, chain.tip().0 as usize),
            (count, count - 1)
        );
    }
}
