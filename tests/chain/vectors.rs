//! Real headers of mainnet and testnet: the chain rules require the targets that they have.

use bsv_p2p::Network;
use bsv_p2p::wire::{BlockHeader, ChainRuleError, ChainRules, CompactTarget, HeaderSlice};

use crate::branch::SparseBranch;

/// The first height under the 144-block rule on mainnet.
const DAA: u32 = 504_032;

/// Reads lines of height, time and compact target.
fn rows(csv: &str) -> SparseBranch {
    let mut branch = SparseBranch::default();
    for line in csv.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let bits = u32::from_str_radix(fields[2], 16).unwrap();
        let header = (fields[1].parse().unwrap(), CompactTarget(bits));
        branch.headers.insert(fields[0].parse().unwrap(), header);
    }
    branch
}

/// Reads the first height and pairs of time and compact target.
fn pairs(bytes: &[u8]) -> SparseBranch {
    let (words, []) = bytes.as_chunks() else {
        panic!("{} bytes are not whole words", bytes.len());
    };
    let (&[first], pairs) = words.split_at(1) else {
        panic!("the first height is missing");
    };
    let mut branch = SparseBranch::default();
    let heights = u32::from_le_bytes(first)..;
    for (height, pair) in heights.zip(pairs.chunks_exact(2)) {
        let [time, bits] = [pair[0], pair[1]].map(u32::from_le_bytes);
        branch.headers.insert(height, (time, CompactTarget(bits)));
    }
    branch
}

fn mainnet_477792() -> SparseBranch {
    pairs(include_bytes!("../vectors/headers/mainnet-477792.bin"))
}

fn boundaries() -> Vec<(u32, BlockHeader)> {
    let csv = include_str!("../vectors/headers/mainnet-2016-boundaries.csv");
    let headers = csv.lines().skip(1).map(|line| {
        let (height, header) = line.split_once(',').unwrap();
        let bytes: [u8; 80] = hex::decode(header).unwrap().try_into().unwrap();
        (height.parse().unwrap(), BlockHeader::from_bytes(&bytes))
    });
    headers.collect()
}

fn first_mainnet_headers() -> Vec<BlockHeader> {
    let bytes = include_bytes!("../vectors/headers/mainnet-0-2016.bin");
    let (headers, []) = bytes.as_chunks() else {
        panic!("{} bytes are not whole headers", bytes.len());
    };
    headers.iter().map(BlockHeader::from_bytes).collect()
}

/// Asserts that the rules require the target of each header from `first` on; returns their number.
fn assert_reproduced(rules: &ChainRules, branch: &SparseBranch, first: u32) -> usize {
    let mut checked = 0;
    for (&height, &(time, bits)) in branch.headers.range(first..) {
        let required = rules.required_bits(&branch.up_to(height - 1), time);
        assert_eq!(required, Ok(bits), "height {height}");
        checked += 1;
    }
    checked
}

#[test]
fn first_mainnet_headers_satisfy_all_rules() {
    let rules = ChainRules::new(Network::Mainnet);
    let headers = first_mainnet_headers();
    assert_eq!(headers.len(), 2_017);
    assert_eq!(headers[0], rules.genesis());
    let now = headers[2_016].time;
    for (height, header) in headers.iter().enumerate().skip(1) {
        let hash = header.hash();
        assert_eq!(header.previous, headers[height - 1].hash());
        let branch = HeaderSlice::new(0, &headers[..height]).unwrap();
        let checked = rules.check_header(&branch, header, hash, now);
        assert_eq!(checked, Ok(()), "height {height}");
        let proven = rules.check_proof_of_work(height as u32, header, hash);
        assert_eq!(proven, Ok(()), "height {height}");
    }
}

#[test]
fn every_mainnet_retarget_is_reproduced() {
    let rules = ChainRules::new(Network::Mainnet);
    let mut branch = SparseBranch::default();
    for (height, header) in boundaries() {
        branch.headers.insert(height, (header.time, header.bits));
        let proven = rules.check_proof_of_work(height, &header, header.hash());
        assert_eq!(proven, Ok(()), "height {height}");
    }
    let mut changes = 0;
    for height in (2_016..=477_792).step_by(2_016) {
        let (time, bits) = branch.headers[&height];
        let required = rules.required_bits(&branch.up_to(height - 1), time);
        assert_eq!(required, Ok(bits), "height {height}");
        changes += usize::from(bits != branch.headers[&(height - 1)].1);
    }
    assert!(changes > 200, "{changes} changes");
}

#[test]
fn mainnet_of_2017_is_reproduced() {
    let rules = ChainRules::new(Network::Mainnet);
    let branch = mainnet_477792();
    // The emergency adjustment looks at the median time seven blocks below.
    assert_eq!(assert_reproduced(&rules, &branch, 477_809), 27_191);
    let bits = |height: u32| branch.headers[&height].1;
    let changes = |heights: std::ops::Range<u32>| {
        let changed = heights.filter(|height| bits(*height) != bits(height - 1));
        changed.filter(|height| height % 2_016 != 0).count()
    };
    assert_eq!(changes(478_559..DAA), 43, "emergency adjustments");
    assert_eq!(changes(DAA..505_000), 968, "144-block adjustments");
}

#[test]
fn testnet_before_daa_height_is_reproduced() {
    let rules = ChainRules::new(Network::Testnet);
    let early = rows(include_str!("../vectors/headers/testnet-52416.csv"));
    assert_eq!(assert_reproduced(&rules, &early, 52_417), 4_038);
    let split = rows(include_str!("../vectors/headers/testnet-1155850.csv"));
    assert_eq!(assert_reproduced(&rules, &split, 1_155_851), 229);
}

#[test]
fn missing_ancestors_are_named() {
    let rules = ChainRules::new(Network::Mainnet);
    let mut branch = mainnet_477792();
    let required = |branch: &SparseBranch, height: u32| {
        let (time, _) = branch.headers[&height];
        rules.required_bits(&branch.up_to(height - 1), time)
    };
    let missing = |height, needed| Err(ChainRuleError::MissingAncestor { height, needed });
    // The emergency adjustment needs 17 ancestors: seven blocks and the median time below them.
    assert_eq!(required(&branch, 477_808), missing(477_808, 477_791));
    assert!(required(&branch, 477_809).is_ok());
    // A retarget needs the first header of its period, the 144-block rule 147 headers.
    branch.headers.remove(&477_792);
    assert_eq!(required(&branch, 479_808), missing(479_808, 477_792));
    branch.headers.remove(&(504_900 - 147));
    assert!(matches!(
        required(&branch, 504_900),
        Err(ChainRuleError::MissingAncestor {
            height: 504_900,
            ..
        })
    ));
}
