//! Random messages, each made from the same fields with the types of both implementations.

mod parts;

use bsv_p2p::wire::{self, StreamType};
use chain_gang::messages as theirs;
use chain_gang::util::{BloomFilter, Hash256};
use test_support::SeededRandom;

use self::parts::{
    address, bytes, hash, header, id_bytes, text, transaction, transactions, uuid, whole_block,
};

/// A message as both implementations hold it.
pub(crate) struct Pair {
    pub(crate) theirs: theirs::Message,
    pub(crate) ours: wire::Message,
}

impl Pair {
    fn new(theirs: theirs::Message, ours: impl Into<wire::Message>) -> Self {
        Self {
            theirs,
            ours: ours.into(),
        }
    }
}

/// Returns one message of each type that both implementations know, with random fields.
pub(crate) fn one_of_each(random: &mut SeededRandom) -> Vec<Pair> {
    use theirs::Message as Theirs;
    use wire::Message as Ours;

    let nonce = random.next_u64();
    let fee = random.of_any_size(62);
    let announce = random.below(2) == 1;
    let compact_version = random.next_u64();
    vec![
        version(random),
        Pair::new(Theirs::Verack, Ours::Verack),
        Pair::new(Theirs::GetAddr, Ours::GetAddr),
        Pair::new(Theirs::SendHeaders, Ours::SendHeaders),
        Pair::new(Theirs::FilterClear, Ours::FilterClear),
        Pair::new(Theirs::Mempool, wire::Mempool::Empty),
        Pair::new(Theirs::Ping(theirs::Ping { nonce }), wire::Ping::new(nonce)),
        Pair::new(Theirs::Pong(theirs::Ping { nonce }), wire::Pong::new(nonce)),
        Pair::new(
            Theirs::FeeFilter(theirs::FeeFilter { minfee: fee }),
            wire::FeeFilter { rate: fee as i64 },
        ),
        Pair::new(
            Theirs::SendCmpct(theirs::SendCmpct {
                enable: announce.into(),
                version: compact_version,
            }),
            wire::SendCmpct {
                announce,
                version: compact_version,
            },
        ),
        protoconf(random),
        authch(random),
        create_stream(random),
        stream_ack(random),
        addr(random),
        inventory(random, Theirs::Inv, |inventory| wire::Inv { inventory }),
        inventory(random, Theirs::GetData, |inventory| wire::GetData {
            inventory,
        }),
        inventory(random, Theirs::NotFound, |inventory| wire::NotFound {
            inventory,
        }),
        locator(random, Theirs::GetBlocks, |version, locator, stop| {
            wire::GetBlocks {
                version,
                locator,
                stop,
            }
        }),
        locator(random, Theirs::GetHeaders, |version, locator, stop| {
            wire::GetHeaders {
                version,
                locator,
                stop,
            }
        }),
        headers(random),
        block(random),
        transaction_message(random),
        compact_block(random),
        get_block_transactions(random),
        block_transactions(random),
        filter_load(random),
        filter_add(random),
        merkle_block(random),
        reject(random),
    ]
}

fn version(random: &mut SeededRandom) -> Pair {
    let version = random.of_any_size(30) as u32 + theirs::MIN_SUPPORTED_PROTOCOL_VERSION;
    let services = random.next_u64();
    let timestamp = random.next_u64() as i64;
    let (their_receiver, our_receiver) = address(random);
    let (their_sender, our_sender) = address(random);
    let nonce = random.next_u64();
    let user_agent = text(random, 256);
    let start_height = random.next_u64() as i32;
    let relay = random.below(2) == 1;
    let id = (random.below(2) == 1).then(|| uuid(random));
    Pair::new(
        theirs::Message::Version(theirs::Version {
            version,
            services,
            timestamp,
            recv_addr: their_receiver,
            tx_addr: their_sender,
            nonce,
            user_agent: user_agent.clone(),
            start_height,
            relay,
            association_id: id.map(id_bytes).unwrap_or_default(),
        }),
        Box::new(wire::Version {
            version: version as i32,
            services: wire::Services(services),
            timestamp,
            receiver: our_receiver,
            sender: Some(our_sender),
            nonce: Some(nonce),
            user_agent: Some(user_agent.as_str().into()),
            start_height: Some(start_height),
            relay: Some(relay),
            association_id: id.map(wire::AssociationId::Uuid),
        }),
    )
}

fn protoconf(random: &mut SeededRandom) -> Pair {
    let limit = random.of_any_size(31) as u32 + 1_048_576;
    let policies = (random.below(2) == 1).then(|| text(random, 650));
    Pair::new(
        theirs::Message::Protoconf(theirs::Protoconf {
            version: 1 + u64::from(policies.is_some()),
            max_recv_payload_length: limit,
            stream_policies: policies.clone(),
        }),
        wire::Protoconf {
            max_receive_payload: limit,
            stream_policies: policies.as_deref().map(Into::into),
        },
    )
}

fn authch(random: &mut SeededRandom) -> Pair {
    let challenge = hash(random);
    Pair::new(
        theirs::Message::Authch(theirs::Authch {
            version: 1,
            message_length: 32,
            message: challenge.to_vec(),
        }),
        wire::Authch {
            version: 1,
            challenge,
        },
    )
}

/// The stream types that chain-gang knows.
const STREAM_TYPES: [StreamType; 4] = [
    StreamType::General,
    StreamType::Data1,
    StreamType::Data2,
    StreamType::Data3,
];

fn create_stream(random: &mut SeededRandom) -> Pair {
    let id = uuid(random);
    let stream_type = STREAM_TYPES[random.below(STREAM_TYPES.len())];
    // chain-gang omits the length of an empty name.
    let policy = format!("P{}", text(random, 63));
    Pair::new(
        theirs::Message::Createstrm(theirs::Createstrm {
            association_id: id_bytes(id),
            stream_type: stream_type.to_byte(),
            stream_policy: policy.clone(),
        }),
        wire::CreateStrm {
            association_id: wire::AssociationId::Uuid(id),
            stream_type,
            stream_policy: policy.as_str().into(),
        },
    )
}

fn stream_ack(random: &mut SeededRandom) -> Pair {
    let id = uuid(random);
    let stream_type = STREAM_TYPES[random.below(STREAM_TYPES.len())];
    Pair::new(
        theirs::Message::Streamack(theirs::Streamack {
            association_id: id_bytes(id),
            stream_type: stream_type.to_byte(),
        }),
        wire::StreamAck {
            association_id: wire::AssociationId::Uuid(id),
            stream_type,
        },
    )
}

fn addr(random: &mut SeededRandom) -> Pair {
    let count = random.of_any_size(9) as usize;
    let (their_list, our_list) = (0..count)
        .map(|_| {
            let time = random.next_u64() as u32;
            let (theirs, ours) = address(random);
            let theirs = theirs::NodeAddrEx {
                last_connected_time: time,
                addr: theirs,
            };
            let ours = wire::TimestampedAddress {
                time,
                address: ours,
            };
            (theirs, ours)
        })
        .unzip();
    Pair::new(
        theirs::Message::Addr(theirs::Addr { addrs: their_list }),
        wire::Addr {
            addresses: our_list,
        },
    )
}

fn inventory<T: Into<wire::Message>>(
    random: &mut SeededRandom,
    theirs: impl Fn(theirs::Inv) -> theirs::Message,
    ours: impl Fn(Vec<wire::Inventory>) -> T,
) -> Pair {
    let count = random.of_any_size(9) as usize;
    let (objects, entries) = (0..count)
        .map(|_| {
            let kind = match random.below(4) {
                0 => random.next_u64() as u32,
                _ => random.below(6) as u32,
            };
            let hash = hash(random);
            let theirs = theirs::InvVect {
                obj_type: kind,
                hash: Hash256(hash),
            };
            (theirs, wire::Inventory::new(kind, hash))
        })
        .unzip();
    Pair::new(theirs(theirs::Inv { objects }), ours(entries))
}

fn locator<T: Into<wire::Message>>(
    random: &mut SeededRandom,
    theirs: impl Fn(theirs::BlockLocator) -> theirs::Message,
    ours: impl Fn(i32, Vec<wire::BlockHash>, wire::BlockHash) -> T,
) -> Pair {
    let version = random.next_u64() as u32;
    let count = random.of_any_size(9) as usize;
    let hashes: Vec<_> = (0..count).map(|_| hash(random)).collect();
    let stop = hash(random);
    Pair::new(
        theirs(theirs::BlockLocator {
            version,
            block_locator_hashes: hashes.iter().copied().map(Hash256).collect(),
            hash_stop: Hash256(stop),
        }),
        ours(
            version as i32,
            hashes.into_iter().map(wire::BlockHash).collect(),
            wire::BlockHash(stop),
        ),
    )
}

fn headers(random: &mut SeededRandom) -> Pair {
    let count = random.of_any_size(9) as usize;
    let (their_list, our_list) = (0..count).map(|_| header(random)).unzip();
    Pair::new(
        theirs::Message::Headers(theirs::Headers {
            headers: their_list,
        }),
        wire::Headers { headers: our_list },
    )
}

fn block(random: &mut SeededRandom) -> Pair {
    let (theirs, ours) = whole_block(random);
    Pair::new(theirs::Message::Block(theirs), ours)
}

fn transaction_message(random: &mut SeededRandom) -> Pair {
    let (theirs, ours) = transaction(random);
    Pair::new(theirs::Message::Tx(theirs), wire::Tx::from(&ours))
}

/// Returns a compact block as a node makes it: the first transaction is included, the others are
/// named.
fn compact_block(random: &mut SeededRandom) -> Pair {
    let (their_block, our_block) = whole_block(random);
    let nonce = random.next_u64();
    let ours = wire::CompactBlock::new(&our_block, nonce);
    let mut theirs = theirs::Cmpctblock {
        header: their_block.header,
        nonce,
        shortids: ours
            .short_ids()
            .map(|id| id.to_le_bytes()[..6].to_vec())
            .collect(),
        ..Default::default()
    };
    for tx in their_block.txns.into_iter().take(1) {
        // The type of the entry has no public name.
        theirs.prefilledtxn.push(Default::default());
        theirs.prefilledtxn[0].tx = tx;
    }
    Pair::new(theirs::Message::Cmpctblock(theirs), ours)
}

fn get_block_transactions(random: &mut SeededRandom) -> Pair {
    let block = hash(random);
    let count = random.of_any_size(9) as usize;
    let gaps: Vec<_> = (0..count).map(|_| random.of_any_size(20)).collect();
    let mut next = 0;
    let indexes: Vec<_> = gaps
        .iter()
        .map(|gap| {
            let index = next + gap;
            next = index + 1;
            index as u32
        })
        .collect();
    Pair::new(
        theirs::Message::Getblocktxn(theirs::Getblocktxn {
            blockhash: Hash256(block),
            indexes: gaps,
        }),
        wire::GetBlockTxn::new(wire::BlockHash(block), &indexes).unwrap(),
    )
}

fn block_transactions(random: &mut SeededRandom) -> Pair {
    let block = hash(random);
    let (their_list, our_list) = transactions(random);
    let txs: Vec<_> = our_list.iter().map(wire::Tx::from).collect();
    let views: Vec<_> = txs.iter().map(wire::Tx::view).collect();
    Pair::new(
        theirs::Message::Blocktxn(theirs::Blocktxn {
            blockhash: Hash256(block),
            transactions: their_list,
        }),
        wire::BlockTransactions::new(wire::BlockHash(block), &views),
    )
}

/// Creates a filter of this library with elements that chain-gang finds in it.
fn filter_load(random: &mut SeededRandom) -> Pair {
    let tweak = random.next_u64() as u32;
    let flags = random.below(3) as u8;
    let items = 1 + random.of_any_size(8) as u32;
    let mut ours = wire::BloomFilter::new(items, 0.001, tweak, wire::BloomFlags(flags)).unwrap();
    let elements: Vec<_> = (0..items).map(|_| bytes(random, 520)).collect();
    for element in &elements {
        ours.insert(element);
    }
    let theirs = BloomFilter {
        filter: ours.data().to_vec(),
        num_hash_funcs: ours.hash_functions() as usize,
        tweak,
    };
    assert!(elements.iter().all(|element| theirs.contains(element)));
    Pair::new(
        theirs::Message::FilterLoad(theirs::FilterLoad {
            bloom_filter: theirs,
            flags,
        }),
        ours,
    )
}

fn filter_add(random: &mut SeededRandom) -> Pair {
    let data = bytes(random, 520);
    Pair::new(
        theirs::Message::FilterAdd(theirs::FilterAdd { data: data.clone() }),
        wire::FilterAdd { data },
    )
}

/// Returns a header with a tree in which chain-gang and bsv-p2p find the same transactions.
fn merkle_block(random: &mut SeededRandom) -> Pair {
    let count = 1 + random.of_any_size(7);
    let leaves: Vec<_> = (0..count)
        .map(|_| (wire::Txid(hash(random)), random.below(4) == 0))
        .collect();
    let tree = wire::PartialMerkleTree::new(leaves.iter().copied()).unwrap();
    let (root, _) = wire::merkle_root(leaves.iter().map(|(txid, _)| *txid));
    let (mut their_header, mut our_header) = header(random);
    their_header.merkle_root = Hash256(root.0);
    our_header.merkle_root = root;
    let theirs = theirs::MerkleBlock {
        header: their_header,
        total_transactions: tree.total_transactions,
        hashes: tree.hashes.iter().map(|hash| Hash256(hash.0)).collect(),
        flags: tree.flags.clone(),
    };
    let matched = leaves.iter().filter(|(_, is_match)| *is_match);
    let matched: Vec<_> = matched.map(|(txid, _)| Hash256(txid.0)).collect();
    assert_eq!(theirs.validate().unwrap(), matched);
    Pair::new(
        theirs::Message::MerkleBlock(theirs),
        Box::new(wire::MerkleBlock {
            header: our_header,
            tree,
        }),
    )
}

fn reject(random: &mut SeededRandom) -> Pair {
    let message = ["tx", "block", "version", "getdata"][random.below(4)];
    let has_hash = matches!(message, "tx" | "block");
    let hash = has_hash.then(|| hash(random));
    let code = random.next_u64() as u8;
    let reason = text(random, 111);
    Pair::new(
        theirs::Message::Reject(theirs::Reject {
            message: message.to_string(),
            code,
            reason: reason.clone(),
            data: hash.map(Vec::from).unwrap_or_default(),
        }),
        wire::Reject {
            hash: hash.map(wire::Hash256),
            ..wire::Reject::new(message, wire::RejectCode(code), &reason)
        },
    )
}
