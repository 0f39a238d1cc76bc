//! Every rule by which something that comes is the answer to a question, or is not.

use std::time::Duration;

use super::failure::Failure;
use super::*;
use crate::network::Network;
use crate::wire::{
    Addr, Headers, NetworkAddress, NotFound, OutPoint, Services, Transaction, TransactionInput,
    TransactionOutput, Tx,
};

const SEED: [u8; 16] = [0xab; 16];
const SECOND: Duration = Duration::from_secs(1);

fn genesis() -> BlockHash {
    BlockHeader::genesis(Network::Regtest).hash()
}

fn requests() -> Requests {
    Requests::new(genesis(), SEED)
}

fn header_on(previous: BlockHash) -> BlockHeader {
    BlockHeader {
        previous,
        ..BlockHeader::genesis(Network::Regtest)
    }
}

fn block(number: u8) -> Block {
    Block::new(&header_on(BlockHash([number; 32])), &[])
}

fn tx(number: u8) -> Tx {
    Tx::from(&Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: Txid([number; 32]),
                index: 0,
            },
            script: Vec::new(),
            sequence: 0,
        }],
        outputs: vec![TransactionOutput {
            value: 1,
            script: Vec::new(),
        }],
        lock_time: 0,
    })
}

fn address(number: u8) -> TimestampedAddress {
    let socket = std::net::SocketAddr::from(([10, 0, 0, number], 1));
    TimestampedAddress {
        time: 1,
        address: NetworkAddress::new(Services::NETWORK, socket),
    }
}

fn question(locator: &[BlockHash], stop: BlockHash) -> GetHeaders {
    GetHeaders {
        version: 1,
        locator: locator.to_vec(),
        stop,
    }
}

fn headers(headers: &[BlockHeader]) -> Message {
    let headers = headers.to_vec();
    Headers { headers }.into()
}

fn not_found(entries: &[Inventory]) -> Message {
    NotFound::from(entries.to_vec()).into()
}

/// Whether a message is an answer, and not given back.
fn answers(requests: &mut Requests, message: impl Into<Message>) -> bool {
    left(requests, message).is_none()
}

/// What is left of a message when the answers in it are taken out.
fn left(requests: &mut Requests, message: impl Into<Message>) -> Option<Message> {
    let received = Received::Message(message.into(), 77);
    requests.on_received(received).map(|left| match left {
        Received::Message(message, 77) => message,
        other => panic!("{other:?}"),
    })
}

fn is_passed_over(requests: &mut Requests, name: &'static str) -> bool {
    let command = Command::new(name);
    let received = Received::PassedOver { command, len: 99 };
    requests.on_received(received).is_none()
}

/// The block that is asked for, the transaction that ends the question, and who waits.
fn ask_block(requests: &mut Requests, hash: BlockHash) -> (Asked<Block>, Inventory) {
    let (asked, question) = requests.ask_block(hash).unwrap();
    let [Inventory::Block(wanted), end @ Inventory::Tx(_)] = question.inventory[..] else {
        panic!("{question:?}");
    };
    assert_eq!(wanted, hash);
    (asked, end)
}

#[track_caller]
fn got<T: PartialEq + std::fmt::Debug>(asked: &Asked<T>, expected: T) {
    assert_eq!(asked.answer.try_recv(), Ok(Ok(expected)));
}

#[track_caller]
fn failed<T: PartialEq + std::fmt::Debug>(asked: &Asked<T>, expected: Failure) {
    assert_eq!(asked.answer.try_recv(), Ok(Err(expected)));
}

#[track_caller]
fn waits<T: PartialEq + std::fmt::Debug>(asked: &Asked<T>) {
    assert!(asked.answer.is_empty());
}

#[test]
fn a_pong_answers_the_ping_with_its_nonce() {
    let mut requests = requests();
    let [one, other] = [1, 2].map(|nonce| requests.ask_ping(nonce).unwrap());
    requests.on_pong(3, SECOND);
    requests.on_pong(2, SECOND);
    requests.on_pong(2, 2 * SECOND);
    waits(&one);
    got(&other, SECOND);
    assert_eq!(requests.open(), 1);
}

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
    requests.on_pong(6, SECOND);
    assert!(!answers(&mut requests, headers(&[])), "another pong");
    requests.on_pong(5, SECOND);
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

#[test]
fn a_block_answers_the_question_for_it_and_its_end_is_swallowed() {
    let mut requests = requests();
    let (asked, end) = ask_block(&mut requests, block(1).hash());
    assert!(!answers(&mut requests, block(2)));
    assert!(answers(&mut requests, block(1)));
    got(&asked, block(1));
    assert!(!answers(&mut requests, block(1)), "nobody waits any more");
    assert!(answers(&mut requests, not_found(&[end])));
    waits(&asked);
}

#[test]
fn blocks_are_found_in_any_order_and_only_those_whose_end_is_named_are_not() {
    let mut requests = requests();
    let [(one, _), (two, end_of_two), (three, _)] =
        [1, 2, 3].map(|number| ask_block(&mut requests, block(number).hash()));
    assert!(answers(&mut requests, block(3)));
    got(&three, block(3));
    assert!(answers(&mut requests, not_found(&[end_of_two])));
    failed(&two, Failure::NotFound(block(2).hash()));
    assert!(answers(&mut requests, block(1)));
    got(&one, block(1));
    assert_eq!(requests.open(), 0);
}

#[test]
fn the_end_of_an_answer_that_nobody_awaits_is_swallowed_and_what_is_named_besides_is_not() {
    let mut requests = requests();
    let (asked, end) = ask_block(&mut requests, block(1).hash());
    requests.give_up(asked.id);
    let others = [
        Inventory::Tx(Txid([7; 32])),
        Inventory::Block(block(2).hash()),
        Inventory::CompactBlock(block(1).hash()),
    ];
    let both = not_found(&[others[0], end, others[1], others[2]]);
    assert_eq!(left(&mut requests, both), Some(not_found(&others)));
    assert_eq!(left(&mut requests, not_found(&[end])), None);
    assert_eq!(left(&mut requests, not_found(&[])), Some(not_found(&[])));
    let Inventory::Tx(Txid(mut altered)) = end else {
        panic!("{end:?}");
    };
    altered[31] = 1;
    let altered = not_found(&[Inventory::Tx(Txid(altered))]);
    assert_eq!(left(&mut requests, altered.clone()), Some(altered));
}

#[test]
fn a_peer_that_names_the_block_itself_does_not_have_it() {
    let mut requests = requests();
    let hash = block(1).hash();
    let (asked, end) = ask_block(&mut requests, hash);
    let named = not_found(&[Inventory::Block(hash), end]);
    assert_eq!(left(&mut requests, named), None);
    failed(&asked, Failure::NotFound(hash));
}

#[test]
fn each_of_several_who_ask_for_a_block_takes_one_copy_and_one_copy_is_enough_for_all() {
    let mut requests = requests();
    let hash = block(1).hash();
    let [(one, _), (two, _)] = [(); 2].map(|()| ask_block(&mut requests, hash));
    assert!(answers(&mut requests, block(1)));
    got(&one, block(1));
    waits(&two);
    assert!(answers(&mut requests, block(1)));
    got(&two, block(1));
    assert!(!answers(&mut requests, block(1)));

    // A peer that sends it once.
    let [(one, _), (two, end), (three, _)] = [(); 3].map(|()| ask_block(&mut requests, hash));
    assert!(answers(&mut requests, block(1)));
    got(&one, block(1));
    assert!(answers(&mut requests, not_found(&[end])));
    got(&two, block(1));
    requests.give_up(three.id);
    got(&three, block(1));
}

#[test]
fn a_block_too_long_is_that_of_the_oldest_question() {
    let mut requests = requests();
    let [(one, end_of_one), (two, _)] =
        [1, 2].map(|number| ask_block(&mut requests, block(number).hash()));
    assert!(is_passed_over(&mut requests, "block"));
    failed(&one, Failure::TooLarge(99));
    assert!(answers(&mut requests, not_found(&[end_of_one])));
    waits(&two);
    assert!(!is_passed_over(&mut requests, "cmpctblock"));
    assert!(is_passed_over(&mut requests, "block"));
    failed(&two, Failure::TooLarge(99));
    assert!(!is_passed_over(&mut requests, "block"));
}

#[test]
fn a_block_too_long_for_which_nobody_waits_any_more_is_not_taken_for_the_next() {
    let mut requests = requests();
    let (given_up, _) = ask_block(&mut requests, block(1).hash());
    let (open, _) = ask_block(&mut requests, block(2).hash());
    requests.give_up(given_up.id);
    assert!(!is_passed_over(&mut requests, "block"));
    waits(&open);
    assert!(is_passed_over(&mut requests, "block"));
    failed(&open, Failure::TooLarge(99));

    // Its end says that it is not coming, and so does the answer to a later question.
    for settle in [0, 1] {
        let (given_up, end) = ask_block(&mut requests, block(1).hash());
        requests.give_up(given_up.id);
        let (later, _) = ask_block(&mut requests, block(2).hash());
        let (open, _) = ask_block(&mut requests, block(3).hash());
        if settle == 0 {
            assert!(answers(&mut requests, not_found(&[end])));
            requests.withdraw(later.id);
        } else {
            assert!(answers(&mut requests, block(2)));
        }
        assert!(is_passed_over(&mut requests, "block"));
        failed(&open, Failure::TooLarge(99));
    }
}

#[test]
fn questions_that_were_given_up_are_remembered_up_to_a_bound() {
    let mut requests = requests();
    for _ in 0..=blocks::MAX_LEFT {
        let (asked, _) = ask_block(&mut requests, block(1).hash());
        requests.give_up(asked.id);
    }
    let (open, _) = ask_block(&mut requests, block(2).hash());
    for _ in 0..blocks::MAX_LEFT {
        assert!(!is_passed_over(&mut requests, "block"));
    }
    assert!(is_passed_over(&mut requests, "block"));
    failed(&open, Failure::TooLarge(99));
}

#[test]
fn transactions_are_asked_for_once_each_and_given_in_the_order_asked() {
    let mut requests = requests();
    let txids = [1, 2, 1, 3].map(|number| tx(number).txid());
    let (asked, entries) = requests.ask_transactions(&txids).unwrap();
    let expected = [txids[0], txids[1], txids[3]].map(Inventory::Tx);
    assert_eq!(entries, expected);
    assert!(answers(&mut requests, tx(3)));
    assert!(!answers(&mut requests, tx(4)));
    let named = [Inventory::Tx(txids[1]), Inventory::Tx(tx(4).txid())];
    let rest = not_found(&named[1..]);
    assert_eq!(left(&mut requests, not_found(&named)), Some(rest));
    assert!(!answers(&mut requests, tx(3)), "it came before");
    waits(&asked);
    assert!(answers(&mut requests, tx(1)));
    got(&asked, vec![Some(tx(1)), None, Some(tx(1)), Some(tx(3))]);
}

#[test]
fn each_of_several_who_ask_for_a_transaction_takes_one_copy_and_one_copy_is_enough_for_all() {
    let mut requests = requests();
    let txid = tx(1).txid();
    let mut ask = || requests.ask_transactions(&[txid]).unwrap().0;
    let [one, two, three, four] = [(); 4].map(|()| ask());
    assert!(answers(&mut requests, tx(1)));
    got(&one, vec![Some(tx(1))]);
    assert!(answers(&mut requests, tx(1)));
    got(&two, vec![Some(tx(1))]);
    let missing = not_found(&[Inventory::Tx(txid)]);
    assert!(answers(&mut requests, missing.clone()));
    got(&three, vec![Some(tx(1))]);
    requests.give_up(four.id);
    got(&four, vec![Some(tx(1))]);

    let (alone, _) = requests.ask_transactions(&[txid]).unwrap();
    assert!(answers(&mut requests, missing.clone()));
    got(&alone, vec![None]);
    assert_eq!(left(&mut requests, missing.clone()), Some(missing));
}

#[test]
fn a_transaction_too_long_is_that_of_the_oldest_question_unless_one_was_given_up() {
    let mut requests = requests();
    let mut ask = |number| requests.ask_transactions(&[tx(number).txid()]).unwrap().0;
    let [one, two] = [1, 2].map(&mut ask);
    assert!(is_passed_over(&mut requests, "tx"));
    failed(&one, Failure::TooLarge(99));
    requests.give_up(two.id);
    let (three, _) = requests.ask_transactions(&[tx(3).txid()]).unwrap();
    assert!(!is_passed_over(&mut requests, "tx"));
    waits(&three);
    requests.give_up(three.id);
    assert!(three.answer.try_recv().is_err());
}

#[test]
fn a_list_of_addresses_is_the_answer_and_a_single_one_only_at_the_end() {
    let addr = |numbers: &[u8]| Addr {
        addresses: numbers.iter().map(|number| address(*number)).collect(),
    };
    for list in [&[][..], &[2, 3]] {
        let mut requests = requests();
        assert!(!answers(&mut requests, addr(&[2, 3])), "nobody asked");
        let asked = requests.ask_addresses().unwrap();
        assert!(!answers(&mut requests, addr(&[1])));
        waits(&asked);
        assert!(answers(&mut requests, addr(list)));
        got(&asked, addr(list).addresses);
    }
    let mut requests = requests();
    let asked = requests.ask_addresses().unwrap();
    assert!(!answers(&mut requests, addr(&[1])));
    requests.give_up(asked.id);
    got(&asked, vec![address(1)]);
}

#[test]
fn addresses_are_asked_for_once_if_the_question_was_sent() {
    let mut requests = requests();
    let unsent = requests.ask_addresses().unwrap();
    assert_eq!(requests.ask_addresses().unwrap_err(), NotAsked::Already);
    requests.withdraw(unsent.id);
    let sent = requests.ask_addresses().unwrap();
    requests.on_getaddr_sent();
    requests.give_up(sent.id);
    assert_eq!(requests.ask_addresses().unwrap_err(), NotAsked::Already);
}

#[test]
fn the_number_of_open_requests_is_bounded() {
    let mut requests = requests();
    let mut open: Vec<_> = (0..MAX_OPEN as u64)
        .map(|nonce| requests.ask_ping(nonce).unwrap())
        .collect();
    let too_many = NotAsked::TooMany { limit: 1024 };
    assert_eq!(requests.ask_block(genesis()).unwrap_err(), too_many);
    assert_eq!(requests.ask_transactions(&[]).unwrap_err(), too_many);
    assert_eq!(requests.ask_addresses().unwrap_err(), too_many);
    requests.give_up(open.remove(500).id);
    let question = question(&[], genesis());
    requests.ask_headers(&question, None).unwrap();
    assert_eq!(requests.ask_ping(7).unwrap_err(), too_many);
}

#[test]
fn the_end_answers_all_with_the_first_reason_and_nothing_is_asked_any_more() {
    let mut requests = requests();
    let ping = requests.ask_ping(1).unwrap();
    let question = question(&[], genesis());
    let headers = requests.ask_headers(&question, None).unwrap();
    let (block, _) = requests.ask_block(genesis()).unwrap();
    let (transactions, _) = requests.ask_transactions(&[tx(1).txid()]).unwrap();
    let addresses = requests.ask_addresses().unwrap();
    requests.close(&DisconnectReason::EndOfStream);
    requests.close(&DisconnectReason::Command);
    let ended = Failure::Ended(DisconnectReason::EndOfStream);
    failed(&ping, ended.clone());
    failed(&headers, ended.clone());
    failed(&block, ended.clone());
    failed(&transactions, ended.clone());
    failed(&addresses, ended);
    assert_eq!(requests.open(), 0);
    let ended = NotAsked::Ended(DisconnectReason::EndOfStream);
    assert_eq!(requests.ask_ping(2).unwrap_err(), ended);
    assert_eq!(requests.ask_addresses().unwrap_err(), ended);
}
