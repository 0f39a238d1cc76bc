//! Questions for headers.

use super::*;

#[test]
fn headers_are_an_answer_if_they_continue_the_locator_or_start_behind_genesis_or_are_none() {
    let [known, stranger] = [BlockHash([8; 32]), BlockHash([9; 32])];
    for (first, is_answer) in [
        (Some(known), true),
        (Some(genesis()), true),
        (None, true),
        (Some(stranger), false),
    ] {
        let mut requests = requests();
        let question = question(&[BlockHash([7; 32]), known], BlockHash::ZERO);
        let asked = requests.ask_headers(&question, None).unwrap();
        let found: Vec<_> = first.map(header_on).into_iter().collect();
        assert_eq!(answers(&mut requests, headers(&found)), is_answer);
        assert_eq!(asked.answer.try_recv().ok(), is_answer.then_some(Ok(found)));
        // A second one is nobody's answer.
        let again = answers(&mut requests, headers(&[header_on(known)]));
        assert_eq!(again, !is_answer);
    }
}

/// The headers of a chain on `previous`, in order.
fn chain_on(previous: BlockHash, count: usize) -> Vec<BlockHeader> {
    let first = header_on(previous);
    std::iter::successors(Some(first), |header| Some(header_on(header.hash())))
        .take(count)
        .collect()
}

/// A Teranode starts with the common ancestor, which may be genesis.
#[test]
fn answer_from_common_ancestor_omits_it() {
    let regtest = BlockHeader::genesis(Network::Regtest);
    let chain = chain_on(genesis(), 9);
    let hashes: Vec<_> = chain.iter().map(BlockHeader::hash).collect();
    let whole: Vec<_> = std::iter::once(regtest).chain(chain.clone()).collect();
    let unknown = BlockHash([7; 32]);
    for (locator, sent, expected) in [
        // Height 5 is in the locator, and height 9 is the peer's tip.
        (vec![unknown, hashes[4]], &chain[4..], &chain[5..]),
        // The peer has nothing new.
        (vec![hashes[8], hashes[7]], &chain[8..], &chain[9..]),
        // Several leading headers are in the locator.
        (
            vec![hashes[6], hashes[5], hashes[4]],
            &chain[4..],
            &chain[7..],
        ),
        // A known header after an unknown one stays.
        (vec![hashes[6], hashes[3]], &chain[3..], &chain[4..]),
        (vec![genesis()], &whole[..], &chain[..]),
        // The peer knows no block of the locator.
        (vec![unknown], &whole[..], &chain[..]),
    ] {
        let mut requests = requests();
        let question = question(&locator, BlockHash::ZERO);
        let asked = requests.ask_headers(&question, None).unwrap();
        assert!(answers(&mut requests, headers(sent)));
        got(&asked, expected.to_vec());
    }
}

#[test]
fn headers_from_unrelated_block_are_no_answer() {
    let mut requests = requests();
    let chain = chain_on(BlockHash([8; 32]), 3);
    // The last header is in the locator, but the answer does not start there.
    let question = question(&[chain[2].hash()], BlockHash::ZERO);
    let asked = requests.ask_headers(&question, None).unwrap();
    assert!(!answers(&mut requests, headers(&chain)));
    waits(&asked);
}

#[test]
fn an_empty_locator_asks_for_one_header_by_its_hash() {
    let mut requests = requests();
    let wanted = header_on(BlockHash([8; 32]));
    let question = question(&[], wanted.hash());
    let asked = requests.ask_headers(&question, None).unwrap();
    assert!(!answers(&mut requests, headers(&[header_on(genesis())])));
    assert!(answers(&mut requests, headers(&[wanted])));
    got(&asked, vec![wanted]);
}

#[test]
fn headers_before_the_pong_of_the_fence_are_late_ones() {
    let mut requests = requests();
    let question = question(&[genesis()], BlockHash::ZERO);
    assert!(!requests.headers_need_fence());
    let first = requests.ask_headers(&question, None).unwrap();
    requests.give_up(first.id);
    assert!(requests.headers_need_fence());
    let second = requests.ask_headers(&question, Some(5)).unwrap();
    assert!(!answers(&mut requests, headers(&[])));
    assert!(!is_passed_over(&mut requests, "headers"));
    requests.on_pong(6, SECOND, StreamType::General);
    assert!(!answers(&mut requests, headers(&[])), "another pong");
    requests.on_pong(5, SECOND, StreamType::General);
    assert!(
        requests.headers_need_fence(),
        "the question may be given up"
    );
    let found = [header_on(genesis())];
    assert!(answers(&mut requests, headers(&found)));
    got(&second, found.to_vec());
    assert!(!requests.headers_need_fence());

    let third = requests.ask_headers(&question, None).unwrap();
    assert!(is_passed_over(&mut requests, "headers"));
    failed(&third, Failure::TooLarge(99));
    let unsent = requests.ask_headers(&question, None).unwrap();
    requests.withdraw(unsent.id);
    assert!(!requests.headers_need_fence());
}
