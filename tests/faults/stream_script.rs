//! The messages of two peers with two streams: unique messages of both kinds, and requests.

use std::time::Duration;

use bsv_p2p::connection::PeerConnectionHandle;
use bsv_p2p::wire::{
    Addr, Block, BlockHash, BlockHeader, Command, GetData, GetHeaders, Headers, Inv, Inventory,
    Message, NetworkAddress, NotFound, Services, StreamPolicy, StreamType, TimestampedAddress,
    Txid,
};
use bytes::Bytes;
use test_support::SeededRandom;

use crate::messages::{blocks, transaction};

/// The timeout of a response that a fault may have destroyed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// One action of a side.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Message),
    /// Sends a ping.
    Ping,
    /// Requests this block, which the other side may not have.
    Ask(BlockHash),
}

/// Returns the steps of a side before it is known whether there is a second stream, and the steps
/// after that.
pub(crate) fn script(seed: u64) -> (Vec<Step>, Vec<Step>) {
    let random = &mut SeededRandom::new(seed);
    // Requests are unique as well.
    let mut known: Vec<_> = blocks().iter().map(Block::hash).collect();
    let mut steps = |most: usize| {
        let count = 1 + random.below(most);
        let steps = (0..count).map(|_| step(random, &mut known));
        steps.collect::<Vec<_>>()
    };
    (steps(6), steps(25))
}

fn step(random: &mut SeededRandom, known: &mut Vec<BlockHash>) -> Step {
    let number = random.next_u64();
    let message: Message = match random.below(12) {
        0 => {
            let count = 1 + random.below(200);
            let entries = (0..count).map(|_| Inventory::Tx(Txid(bytes_of(random.next_u64()))));
            Inv::from(entries.collect::<Vec<_>>()).into()
        }
        1 | 2 => Message::Tx(transaction(number, random.below(2_000))),
        3 => {
            let len = random.of_any_size(18) as usize;
            let payload = (0..len / 8 + 1).flat_map(|_| random.next_u64().to_le_bytes());
            Message::Unknown {
                command: const { Command::new("test") },
                payload: payload.collect::<Vec<u8>>().into(),
            }
        }
        4 => Message::Addr(Addr {
            addresses: vec![TimestampedAddress {
                time: number as u32,
                address: NetworkAddress::new(Services::NETWORK, ([1, 2, 3, 4], 5).into()),
            }],
        }),
        5 => Headers {
            headers: vec![numbered_header(number); 1 + random.below(50)],
        }
        .into(),
        6 | 7 => numbered_block(number, random.below(blocks().len())).into(),
        8 => Inv::from(vec![Inventory::Block(BlockHash(bytes_of(number)))]).into(),
        9 => GetHeaders {
            version: 70016,
            locator: vec![BlockHash(bytes_of(number))],
            stop: BlockHash::ZERO,
        }
        .into(),
        10 => return Step::Ping,
        _ => {
            let known = known.pop().filter(|_| random.below(2) == 0);
            return Step::Ask(known.unwrap_or(BlockHash(bytes_of(number))));
        }
    };
    Step::Send(message)
}

fn bytes_of(number: u64) -> [u8; 32] {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn numbered_header(number: u64) -> BlockHeader {
    BlockHeader {
        nonce: number as u32,
        time: (number >> 32) as u32,
        ..blocks()[0].header()
    }
}

/// Returns one of the blocks with another header. Receivers check only the form of unrequested
/// blocks.
fn numbered_block(number: u64, which: usize) -> Block {
    let mut bytes = blocks()[which].bytes().to_vec();
    bytes[68..72].copy_from_slice(&((number >> 32) as u32).to_le_bytes());
    bytes[76..80].copy_from_slice(&(number as u32).to_le_bytes());
    Block::from_payload(Bytes::from(bytes)).unwrap()
}

/// Returns the final messages of a side, one for each stream, which are sent repeatedly. They show
/// that all has arrived, and where frames start after a fault.
pub(crate) fn last_words(number: u32) -> [Message; 2] {
    let end = Message::Unknown {
        command: END,
        payload: Bytes::copy_from_slice(&number.to_le_bytes()),
    };
    let mut hash = [0xee; 32];
    hash[..4].copy_from_slice(&number.to_le_bytes());
    [
        end,
        Inv::from(vec![Inventory::Block(BlockHash(hash))]).into(),
    ]
}

const END: Command = Command::new("theend");

/// Returns the stream whose final message this is, if it is one.
pub(crate) fn last_word_of(message: &Message) -> Option<StreamType> {
    match message {
        Message::Unknown { command, .. } if *command == END => Some(StreamType::General),
        Message::Inv(Inv { inventory }) => match inventory[..] {
            [Inventory::Block(BlockHash(hash))] if hash[4..] == [0xee; 28] => {
                Some(StreamType::Data1)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Returns the stream of a message once there are two.
pub(crate) fn stream(message: &Message) -> StreamType {
    StreamPolicy::BlockPriority.stream_for(message)
}

/// Answers a block request like a node: the block, if it exists, and a `notfound` of missing
/// objects.
pub(crate) fn answer(handle: &PeerConnectionHandle, question: &GetData, timeout: Duration) {
    for entry in &question.inventory {
        let answer: Message = match entry {
            Inventory::Block(hash) => match blocks().iter().find(|block| block.hash() == *hash) {
                Some(block) => block.clone().into(),
                None => continue,
            },
            other => NotFound::from(vec![*other]).into(),
        };
        // The end of the connection is checked elsewhere.
        let _ = handle.send(&answer, timeout);
    }
}

/// Returns whether a message answers a request, and so may arrive after its timeout.
pub(crate) fn is_answer(message: &Message) -> bool {
    match message {
        Message::NotFound(_) => true,
        Message::Block(block) => blocks().contains(block),
        // A message whose command was changed by a fault.
        Message::Unknown { payload, .. } => {
            let is_not_found = payload.starts_with(&[1, 1, 0, 0, 0]) && payload.len() == 37;
            is_not_found || blocks().iter().any(|block| block.bytes() == payload)
        }
        _ => false,
    }
}

#[test]
fn script_messages_are_unique_and_use_both_streams() {
    let mut seen = Vec::<Message>::new();
    let mut streams = [0, 0];
    for seed in 0..20 {
        let (before, behind) = script(seed);
        for step in before.into_iter().chain(behind) {
            if let Step::Send(message) = step {
                assert!(!seen.contains(&message), "{:?} twice", message.command());
                assert!(!is_answer(&message) && last_word_of(&message).is_none());
                streams[usize::from(stream(&message) == StreamType::Data1)] += 1;
                seen.push(message);
            }
        }
    }
    assert!(streams.iter().all(|count| *count > 40), "{streams:?}");
    let words = last_words(7);
    let both = [StreamType::General, StreamType::Data1];
    assert_eq!(words.each_ref().map(stream), both);
    assert_eq!(words.each_ref().map(last_word_of), both.map(Some));
}
