//! The real node, `HeaderChain` and a manager judge the same block headers.

use bsv_p2p::Network;
use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::Misbehavior;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, CompactTarget, Encode, HeaderChain, HeaderChainError, Headers,
    MAX_HEADERS, MerkleRoot, Message, Ping, Pong,
};
use bsv_p2p::{Manager, ManagerConfig};
use serde_json::json;
use test_support::raw_peer::{RawListener, RawPeer};
use test_support::real_node::RealNode;

use crate::mining::now;
use crate::peer::SOON;

/// The target of regtest.
const EASY: CompactTarget = CompactTarget(0x207f_ffff);
/// The number of headers from which on the node scores an unknown parent.
const MIN_UNCONNECTED: usize = 8;

/// A list of headers and the way in which the node judges it.
struct Case {
    name: &'static str,
    headers: Vec<BlockHeader>,
    /// The score of the sender.
    score: u32,
    /// The number of headers at the start of the list that become known.
    accepted: usize,
}

/// Searches a nonce with which the hash of a header meets its own target.
fn solve(mut header: BlockHeader) -> BlockHeader {
    while header.bits.check(header.hash(), header.bits).is_err() {
        header.nonce += 1;
    }
    header
}

/// Searches a nonce with which the hash of a header misses the target of regtest.
fn spoil(mut header: BlockHeader) -> BlockHeader {
    while header.bits.check(header.hash(), EASY).is_ok() {
        header.nonce += 1;
    }
    header
}

/// Returns a header without proof of work. Each tag results in another merkle root.
fn unsolved(previous: BlockHash, time: u32, tag: u32) -> BlockHeader {
    let mut root = [0; 32];
    root[..4].copy_from_slice(&tag.to_le_bytes());
    BlockHeader {
        version: 0x2000_0000,
        previous,
        merkle_root: MerkleRoot(root),
        time,
        bits: EASY,
        nonce: 0,
    }
}

/// Mines valid headers on top of another one.
fn mine_on(parent: &BlockHeader, count: usize, tag: u32) -> Vec<BlockHeader> {
    let next = |parent: &BlockHeader| Some(solve(unsolved(parent.hash(), parent.time + 1, tag)));
    std::iter::successors(next(parent), next)
        .take(count)
        .collect()
}

fn genesis() -> BlockHeader {
    BlockHeader::genesis(&Network::Regtest)
}

fn tip_of(chain: &HeaderChain) -> BlockHeader {
    *chain.header_at(chain.tip().0).unwrap()
}

/// Adds headers as the node does: those before an invalid one stay.
fn accept(chain: &mut HeaderChain, headers: &[BlockHeader], now: u32) -> Option<HeaderChainError> {
    let error = chain.extend(headers, now).err()?;
    if let Some(position) = error.position() {
        chain.extend(&headers[..position], now).unwrap();
    }
    Some(error)
}

/// Returns the score that a node gives for an error of the chain.
fn score_of(error: HeaderChainError, headers: usize) -> u32 {
    match error {
        HeaderChainError::UnknownParent { .. } if headers >= MIN_UNCONNECTED => {
            Misbehavior::UnconnectedHeaders { headers }.score()
        }
        error => Misbehavior::InvalidHeaders(error).score(),
    }
}

fn is_known_to_node(node: &RealNode, header: &BlockHeader) -> bool {
    let hash = header.hash().to_string();
    node.try_rpc("getblockheader", json!([hash])).is_ok()
}

/// Sends lists of headers over a new connection and returns the score of that connection.
fn score_of_node(node: &RealNode, lists: &[Vec<BlockHeader>]) -> u32 {
    let mut peer = RawPeer::dial(node.address());
    peer.shake_hands();
    let address = peer.tcp().local_addr().unwrap().to_string();
    let of_peer = || {
        let mut peers = node.peer_info().into_iter();
        peers.find(|peer| peer["addr"] == json!(address))
    };
    let id = of_peer().expect("the peer is connected")["id"].clone();
    for headers in lists.iter().cloned() {
        peer.send(Headers { headers });
    }
    // A score of 100 ends the connection. Otherwise a pong follows the end of the verification.
    peer.try_send(Ping::new(1));
    let is_alive = std::iter::from_fn(|| peer.next()).any(|message| message == Pong::new(1).into());
    let log = node.log();
    let name = format!("peer={id} (");
    let mut lines = log.lines().filter(|line| line.contains("Misbehaving"));
    let logged = lines.rfind(|line| line.contains(&name)).map(|line| {
        let (_, score) = line.split_once(" -> ").expect("a change of a score");
        let digits = score.split_once(')').expect("the end of a score").0;
        digits.parse().expect("a score")
    });
    let score = logged.unwrap_or(0);
    assert_eq!(is_alive, score < 100, "connection after a score of {score}");
    if is_alive {
        let shown = of_peer().expect("the peer is connected")["banscore"].clone();
        assert_eq!(shown, json!(score));
    }
    score
}

/// Returns lists of headers for a chain whose next height has no minimum version.
fn cases(chain: &HeaderChain, clock: u32) -> Vec<Case> {
    let (height, tip) = chain.tip();
    let median = chain.median_time_at(height).unwrap();
    let last = tip_of(chain);
    let next = |tag| unsolved(tip, last.time + 1, tag);
    let with = |tag, change: &dyn Fn(&mut BlockHeader)| {
        let mut header = next(tag);
        change(&mut header);
        header
    };
    let with_bits = |tag, bits| with(tag, &|header| header.bits = CompactTarget(bits));
    let with_time = |tag, time| with(tag, &|header| header.time = time);
    let case = |name, headers: &[BlockHeader], score, accepted| Case {
        name,
        headers: headers.to_vec(),
        score,
        accepted,
    };
    let after = |header: &BlockHeader, count| mine_on(header, count, 900);
    let no_work = spoil(next(1));
    let harder = solve(with_bits(2, 0x2010_0000));
    let old = solve(with_time(3, median));
    let new = solve(with_time(4, clock + 7_201));
    let three = mine_on(&last, 3, 5);
    let unknown = unsolved(BlockHash([9; 32]), last.time, 6);
    let eight = mine_on(&solve(unknown), 9, 7)[..].to_vec();
    let [mut gap, mut late_spoil, mut unknown_gap] = [
        mine_on(&last, 12, 8),
        mine_on(&last, 3, 9),
        eight[..7].to_vec(),
    ];
    gap.remove(5);
    late_spoil[2] = spoil(late_spoil[2]);
    unknown_gap.remove(3);
    let mut unknown_late_spoil = eight[..8].to_vec();
    unknown_late_spoil[7] = spoil(unknown_late_spoil[7]);
    let wrong_then_spoiled = [harder, spoil(after(&harder, 1)[0])];
    let old_then_spoiled = [old, spoil(after(&old, 1)[0])];
    let side = *chain.header_at(height - 5).unwrap();
    let side_harder = {
        let mut headers = mine_on(&side, 2, 10);
        headers.push(solve(BlockHeader {
            bits: CompactTarget(0x2010_0000),
            ..unsolved(headers[1].hash(), headers[1].time + 1, 11)
        }));
        headers
    };
    vec![
        case("no proof of work", &[no_work], 50, 0),
        case(
            "bits above the limit",
            &[solve(with_bits(20, 0x2100_8000))],
            50,
            0,
        ),
        case("bits of zero", &[with_bits(21, 0)], 50, 0),
        case("negative bits", &[with_bits(22, 0x2080_0001)], 50, 0),
        case("bits that overflow", &[with_bits(23, 0xff7f_ffff)], 50, 0),
        case("harder bits", &[harder], 100, 0),
        case(
            "slightly harder bits",
            &[solve(with_bits(24, 0x207f_fffe))],
            100,
            0,
        ),
        case("time at the median", &[old], 0, 0),
        case(
            "time after the median",
            &[solve(with_time(25, median + 1))],
            0,
            1,
        ),
        case(
            "time before the parent",
            &[solve(with_time(26, last.time - 1))],
            0,
            1,
        ),
        case(
            "time two hours ahead",
            &[solve(with_time(27, clock + 7_200))],
            0,
            1,
        ),
        case("time more than two hours ahead", &[new], 0, 0),
        case(
            "version 1",
            &[solve(with(28, &|header| header.version = 1))],
            0,
            1,
        ),
        case(
            "negative version",
            &[solve(with(29, &|header| header.version = -1))],
            0,
            1,
        ),
        case("valid headers", &three, 0, 3),
        case("known headers", &three, 0, 3),
        case("late header without proof of work", &late_spoil, 50, 2),
        case("gap between headers", &gap, 20, 0),
        case("unknown parent of 7 headers", &eight[..7], 0, 0),
        case("unknown parent of 8 headers", &eight[..8], 10, 0),
        case(
            "unknown parent of 8 headers, late spoiled",
            &unknown_late_spoil,
            10,
            0,
        ),
        case(
            "wrong bits before a spoiled header",
            &wrong_then_spoiled,
            100,
            0,
        ),
        case(
            "old header before a spoiled header",
            &old_then_spoiled,
            0,
            0,
        ),
        case("child of a rejected header", &after(&new, 1), 0, 0),
        case(
            "harder bits and old time",
            &[solve(with(30, &|header| {
                header.bits = CompactTarget(0x2010_0000);
                header.time = median;
            }))],
            100,
            0,
        ),
        case(
            "old time without proof of work",
            &[spoil(with_time(31, median))],
            50,
            0,
        ),
        case("harder bits on a side chain", &side_harder, 100, 2),
        case("gap after an unknown parent", &unknown_gap, 0, 0),
        case(
            "unknown parent without proof of work",
            &[spoil(unknown)],
            0,
            0,
        ),
        case(
            "too many headers",
            &mine_on(&last, MAX_HEADERS + 1, 12),
            20,
            0,
        ),
    ]
}

/// Returns lists of headers around a height from which on a minimum version applies.
fn version_cases(chain: &HeaderChain, minimum: i32) -> Vec<Case> {
    let last = tip_of(chain);
    let with = |parent: &BlockHeader, version, tag| {
        solve(BlockHeader {
            version,
            ..unsolved(parent.hash(), parent.time + 1, tag)
        })
    };
    let before = with(&last, minimum - 1, 1);
    let valid = with(&before, minimum, 5);
    let case = |name, headers, accepted| Case {
        name,
        headers,
        score: 0,
        accepted,
    };
    vec![
        case("outdated version before the height", vec![before], 1),
        case("outdated version", vec![with(&before, minimum - 1, 2)], 0),
        case("negative version", vec![with(&before, -1, 3)], 0),
        case("minimum version", vec![with(&before, minimum, 4)], 1),
        case(
            "outdated version after a valid one",
            vec![valid, with(&valid, 1, 6)],
            1,
        ),
    ]
}

/// Adds headers as the library does and returns the score of their sender.
fn score_of_chain(chain: &mut HeaderChain, headers: &[BlockHeader], clock: u32) -> u32 {
    let list = Headers {
        headers: headers.to_vec(),
    };
    let payload = list.encode_to_vec();
    let command = Message::from(list).command();
    if let Err(error) = Message::decode(command, payload.into()) {
        return Misbehavior::Malformed { command, error }.score();
    }
    // The node verifies fewer headers only if their parent is known.
    let is_connected = chain.contains(&headers[0].previous);
    if !is_connected && headers.len() < MIN_UNCONNECTED {
        return 0;
    }
    let error = accept(chain, headers, clock);
    error.map_or(0, |error| score_of(error, headers.len()))
}

/// Sends lists of headers to a manager that follows a copy of `chain`, and returns the score of the
/// sender.
fn score_of_manager(chain: &HeaderChain, lists: &[Vec<BlockHeader>]) -> u32 {
    let manager = Manager::new(ManagerConfig::new(Network::Regtest)).unwrap();
    let events = manager.subscribe_control();
    manager.follow_chain(chain.clone()).unwrap();
    let listener = RawListener::new();
    manager.start_fixed([listener.address()]).unwrap();
    let mut peer = listener.accept();
    peer.shake_hands();
    peer.expect("getheaders");
    peer.send(Headers::default());
    for headers in lists.iter().cloned() {
        peer.send(Headers { headers });
    }
    // The error of this list follows everything that the manager reports about the others. The list
    // must not match an open request: its answer could overtake announcements.
    let unknown = BlockHash([8; 32]);
    let gap: Vec<_> = (0..8)
        .map(|tag| solve(unsolved(unknown, now(), tag)))
        .collect();
    let end = HeaderChainError::NotLinked {
        position: 1,
        expected: gap[0].hash(),
        got: unknown,
    };
    let end = Misbehavior::InvalidHeaders(end);
    peer.try_send(Headers { headers: gap });
    let mut score = 0;
    loop {
        let event = events.recv_timeout(SOON).expect("an event");
        let ControlEvent::PeerMisbehavior { misbehavior, .. } = event else {
            match event {
                ControlEvent::ConnectionLost { .. } => return score,
                _ => continue,
            }
        };
        if misbehavior == end {
            return score;
        }
        score += misbehavior.score();
    }
}

/// Checks that the node and the chain give each case the score and the effect that it names.
#[track_caller]
fn assert_judged_alike(node: &RealNode, chain: &mut HeaderChain, cases: Vec<Case>, clock: u32) {
    let mut differences = Vec::new();
    for case in cases {
        let headers = case.headers;
        let our_score = score_of_chain(chain, &headers, clock);
        let node_score = score_of_node(node, std::slice::from_ref(&headers));
        let count = |is_known: &dyn Fn(&BlockHeader) -> bool| {
            headers.iter().filter(|header| is_known(header)).count()
        };
        let node_knows = count(&|header| is_known_to_node(node, header));
        let chain_knows = count(&|header| chain.contains(&header.hash()));
        let expected = (case.score, case.accepted);
        if (node_score, node_knows) != expected || (our_score, chain_knows) != expected {
            let (name, ours) = (case.name, (our_score, chain_knows));
            differences.push(format!(
                "{name}: expected {expected:?}, node {:?}, chain {ours:?}",
                (node_score, node_knows),
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Starts a node with a fixed clock that knows the headers of a chain.
fn start_with_headers(headers: &[BlockHeader]) -> (RealNode, HeaderChain, u32) {
    let node = RealNode::start(&[]);
    let clock = now();
    node.rpc("setmocktime", json!([clock]));
    let mut chain = HeaderChain::new(Network::Regtest);
    for part in headers.chunks(MAX_HEADERS) {
        assert_eq!(score_of_node(&node, &[part.to_vec()]), 0);
        chain.extend(part, clock).unwrap();
    }
    assert!(
        headers
            .last()
            .is_none_or(|last| is_known_to_node(&node, last))
    );
    (node, chain, clock)
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn invalid_headers_score_like_the_node() {
    let (node, mut chain, clock) = start_with_headers(&mine_on(&genesis(), 30, 0));
    let cases = cases(&chain, clock);
    assert_judged_alike(&node, &mut chain, cases, clock);
}

/// The scores of the cases are those of the node; see [`invalid_headers_score_like_the_node`].
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn manager_scores_invalid_headers_like_the_node() {
    let mut chain = HeaderChain::new(Network::Regtest);
    let clock = now();
    chain.extend(&mine_on(&genesis(), 30, 0), clock).unwrap();
    for case in cases(&chain, clock) {
        let score = score_of_manager(&chain, std::slice::from_ref(&case.headers));
        assert_eq!(score, case.score, "{}", case.name);
    }
}

/// Nine lists without a known parent score zero, every tenth one scores. A valid list resets the
/// count.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn repeated_unconnected_lists_score_as_at_node() {
    let (node, chain, _) = start_with_headers(&mine_on(&genesis(), 12, 0));
    let orphan = |tag| vec![solve(unsolved(BlockHash([9; 32]), now(), tag))];
    let orphans = |count: u32| (0..count).map(orphan).collect::<Vec<_>>();
    let valid = mine_on(&tip_of(&chain), 1, 5);
    let nine_and_nine = [orphans(9), vec![valid.clone()], orphans(9)].concat();
    let nine_and_ten = [orphans(9), vec![valid], orphans(10)].concat();
    for (lists, score) in [
        (orphans(9), 0),
        (orphans(10), 20),
        (orphans(30), 60),
        (nine_and_nine, 0),
        (nine_and_ten, 20),
    ] {
        let scores = [
            score_of_node(&node, &lists),
            score_of_manager(&chain, &lists),
        ];
        assert_eq!(scores, [score; 2], "{} lists", lists.len());
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn outdated_versions_are_rejected_at_same_heights() {
    for (height, minimum) in [(1_251, 3), (1_351, 4)] {
        let (node, mut chain, clock) = start_with_headers(&mine_on(&genesis(), height - 2, 0));
        let cases = version_cases(&chain, minimum);
        assert_judged_alike(&node, &mut chain, cases, clock);
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn header_ahead_of_clock_is_accepted_later() {
    let (node, mut chain, clock) = start_with_headers(&mine_on(&genesis(), 12, 0));
    let early = [solve(unsolved(chain.tip().1, clock + 7_201, 1))];
    for (clock, is_known) in [(clock, false), (clock + 1, true)] {
        node.rpc("setmocktime", json!([clock]));
        assert_eq!(score_of_node(&node, &[early.to_vec()]), 0);
        assert_eq!(score_of_chain(&mut chain, &early, clock), 0);
        assert_eq!(is_known_to_node(&node, &early[0]), is_known);
        assert_eq!(chain.contains(&early[0].hash()), is_known);
    }
}
