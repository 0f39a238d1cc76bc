//! What the wire layer costs in memory. The test binary has an allocator that counts, thread by thread.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};

use allocation_counter::{AllocationInfo, measure};
use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    Addr, Alert, AssociationId, Authch, Authresp, Block, BlockHash, BlockHeader, BlockScanner,
    BlockTransactions, BloomFilter, BloomFlags, Command, CompactBlock, CreateStrm, DsDetected,
    DsDetectedBlock, Encode, EncodedFrame, EnrichedHeader, FeeFilter, FilterAdd, FrameError,
    FrameReader, GetBlockTxn, GetBlocks, GetData, GetHdrsEn, GetHeaders, Hash256, Hdrsen,
    HeaderChain, Headers, Incoming, Inv, Inventory, MAX_HEADERS, Mempool, MerkleBlock, MerkleProof,
    MerkleProofNode, MerkleProofTarget, MerkleRoot, Message, NetworkAddress, NotFound,
    PartialMerkleTree, PayloadLimits, Ping, Pong, Protoconf, Reconstructed, Reconstruction, Reject,
    RejectCode, RevokeMid, SendCmpct, Services, StreamAck, StreamType, TimestampedAddress,
    Transaction, TransactionOutput, Tx, TxAndProof, TxOrId, Txid, Version, encode_frame,
    write_compact_size,
};
use bytes::Bytes;

const MAGIC: Magic = Network::Regtest.magic();

/// What a block keeps of each transaction beside its bytes.
const PLACE: u64 = 8;

/// Everything a command may have is also kept: the most that a peer can make a reader hold.
fn keep_all() -> PayloadLimits {
    PayloadLimits {
        buffered: u64::MAX,
        ..PayloadLimits::default()
    }
}

fn header(command: &str, len: u32, checksum: [u8; 4]) -> Vec<u8> {
    let mut header = MAGIC.0.to_vec();
    header.extend_from_slice(&Command::new(command).to_bytes());
    header.extend_from_slice(&len.to_le_bytes());
    header.extend_from_slice(&checksum);
    header
}

fn extended_header(command: &str, len: u64) -> Vec<u8> {
    let mut header = header("extmsg", u32::MAX, [0; 4]);
    header.extend_from_slice(&Command::new(command).to_bytes());
    header.extend_from_slice(&len.to_le_bytes());
    header
}

/// A source that gives at most `step` bytes at a time, without end.
struct Trickle {
    start: Vec<u8>,
    step: usize,
    given: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.step.min(buffer.len());
        for byte in &mut buffer[..step] {
            *byte = self.start.get(self.given).copied().unwrap_or(0x5a);
            self.given += 1;
        }
        Ok(step)
    }
}

/// A source that has nothing.
struct Silence;

impl Read for Silence {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

fn one_transaction() -> Transaction {
    use bsv_p2p::wire::Decode;
    Transaction::decode_from(Network::genesis_transaction()).unwrap()
}

fn big_block() -> Block {
    Block::new(
        &BlockHeader::genesis(Network::Regtest),
        &vec![one_transaction(); 500],
    )
}

/// A block of transactions that are as short as they can be.
fn shortest_transactions(count: usize) -> Block {
    let header = BlockHeader::genesis(Network::Regtest);
    Block::new(&header, &vec![Transaction::default(); count])
}

/// A transaction and its proof, both as short as they can be but for the nodes.
fn tx_and_proof(transaction: TxOrId, nodes: usize) -> TxAndProof {
    let target = MerkleProofTarget::MerkleRoot(MerkleRoot::ZERO);
    let nodes = vec![MerkleProofNode::DUPLICATE; nodes];
    TxAndProof {
        tx: Tx::from(&Transaction::default()),
        proof: MerkleProof::new(0, transaction, target, nodes),
    }
}

fn merkle_block(hashes: usize) -> MerkleBlock {
    MerkleBlock {
        header: BlockHeader::genesis(Network::Regtest),
        tree: PartialMerkleTree {
            total_transactions: u32::MAX,
            hashes: vec![Hash256::ZERO; hashes],
            flags: vec![0; hashes / 4],
        },
    }
}

/// As many as there may be, with or without the parts that they may have.
fn enriched_headers(parts: bool) -> Hdrsen {
    let part = parts.then(|| tx_and_proof(TxOrId::Txid(Txid::ZERO), 0));
    let header = EnrichedHeader {
        header: BlockHeader::genesis(Network::Regtest),
        transaction_count: 1,
        no_more_headers: false,
        coinbase: part.clone(),
        miner_info: part,
    };
    Hdrsen::new(&vec![header; 2_000])
}

fn conflicting_blocks(headers: usize, nodes: usize) -> DsDetected {
    let transaction = TxOrId::Tx(Tx::from(&Transaction::default()));
    let block = DsDetectedBlock {
        headers: vec![BlockHeader::genesis(Network::Regtest); headers],
        proof: tx_and_proof(transaction, nodes).proof,
    };
    DsDetected::new(&vec![block; 1_000])
}

fn big_answer() -> BlockTransactions {
    let block = big_block();
    BlockTransactions::new(block.hash(), &block.transactions().collect::<Vec<_>>())
}

/// A message of every type, lists as long as they are dense.
fn messages() -> Vec<Message> {
    let address = NetworkAddress {
        services: Services::NETWORK,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 8333,
    };
    let entry = TimestampedAddress { time: 1, address };
    let inventory = vec![Inventory::Tx(Txid([7; 32])); 1_000];
    let minimal = Version {
        version: 70016,
        services: Services::NONE,
        timestamp: 1,
        receiver: address,
        sender: None,
        nonce: None,
        user_agent: None,
        start_height: None,
        relay: None,
        association_id: None,
    };
    let full = Version {
        sender: Some(address),
        nonce: Some(7),
        user_agent: Some("x".repeat(256).into()),
        start_height: Some(1),
        relay: Some(true),
        association_id: Some(AssociationId::Null),
        ..minimal.clone()
    };
    vec![
        Message::Verack,
        Message::GetAddr,
        Message::SendHeaders,
        Message::SendHdrsEn,
        Message::FilterClear,
        Message::from(minimal),
        Message::from(full),
        Message::Protoconf(Protoconf {
            max_receive_payload: 1,
            stream_policies: Some("x".repeat(650).into()),
        }),
        Message::Ping(Ping::new(7)),
        Message::Pong(Pong::new(7)),
        Message::SendCmpct(SendCmpct {
            announce: true,
            version: 1,
        }),
        Message::FeeFilter(FeeFilter { rate: 250 }),
        Message::Authch(Authch {
            version: 1,
            challenge: [7; 32],
        }),
        Message::Authresp(Authresp {
            public_key: [2; 33],
            client_nonce: 7,
            signature: vec![0x30; 72],
        }),
        Message::from(RevokeMid {
            revocation_key: [2; 33],
            miner_id: [3; 33],
            id_to_revoke: [2; 33],
            signature1: vec![0x30; 71],
            signature2: vec![0x30; 72],
        }),
        Message::CreateStrm(CreateStrm {
            association_id: AssociationId::Null,
            stream_type: StreamType::Data1,
            stream_policy: "x".repeat(64).into(),
        }),
        Message::StreamAck(StreamAck {
            association_id: AssociationId::Null,
            stream_type: StreamType::Data1,
        }),
        Message::Mempool(Mempool::Empty),
        Message::Mempool(Mempool::Age(3600)),
        // As large as a filter may be.
        Message::FilterLoad(BloomFilter::new(1_000_000, 0.001, 7, BloomFlags::ALL).unwrap()),
        Message::FilterAdd(FilterAdd { data: vec![7; 520] }),
        Message::Alert(Alert {
            message: vec![7; 10_000],
            signature: vec![7; 10_000],
        }),
        Message::Addr(Addr {
            addresses: vec![entry; 1_000],
        }),
        Message::Inv(Inv {
            inventory: inventory.clone(),
        }),
        Message::GetData(GetData {
            inventory: inventory.clone(),
        }),
        Message::NotFound(NotFound { inventory }),
        Message::GetBlocks(GetBlocks {
            version: 1,
            locator: vec![BlockHash::ZERO; 1_000],
            stop: BlockHash::ZERO,
        }),
        Message::GetHeaders(GetHeaders {
            version: 1,
            locator: vec![BlockHash::ZERO; 1_000],
            stop: BlockHash::ZERO,
        }),
        Message::GetHdrsEn(GetHdrsEn {
            version: 1,
            locator: vec![BlockHash::ZERO; 1_000],
            stop: BlockHash::ZERO,
        }),
        Message::Headers(Headers {
            headers: vec![BlockHeader::genesis(Network::Regtest); 2_000],
        }),
        Message::Block(big_block()),
        Message::Block(shortest_transactions(0)),
        Message::Block(shortest_transactions(1_000)),
        Message::CompactBlock(CompactBlock::new(&big_block(), 7)),
        Message::GetBlockTxn(
            GetBlockTxn::new(BlockHash::ZERO, &(0..1_000).collect::<Vec<u32>>()).unwrap(),
        ),
        Message::BlockTransactions(big_answer()),
        Message::Tx(Tx::from(&one_transaction())),
        Message::Hdrsen(enriched_headers(false)),
        Message::Hdrsen(enriched_headers(true)),
        merkle_block(0).into(),
        merkle_block(1_000).into(),
        Message::from(tx_and_proof(TxOrId::Txid(Txid::ZERO), 0)),
        Message::from(tx_and_proof(TxOrId::Txid(Txid::ZERO), 1_000)),
        Message::DsDetected(conflicting_blocks(0, 0)),
        Message::DsDetected(conflicting_blocks(1, 1)),
        Message::Reject(Reject {
            message: "tx".into(),
            code: RejectCode::INVALID,
            reason: "x".repeat(111).into(),
            hash: Some(Hash256::ZERO),
        }),
        Message::Unknown {
            command: Command::new("foobar"),
            payload: vec![7; 10_000].into(),
        },
    ]
}

#[test]
fn there_is_a_message_of_every_kind() {
    let commands: BTreeSet<String> = messages()
        .iter()
        .map(|message| message.command().to_string())
        .collect();
    // What README.md counts, and an unknown one.
    assert_eq!(commands.len(), 38 + 1, "{commands:?}");
}

#[test]
fn the_allocator_counts() {
    let counted = measure(|| drop(black_box(vec![0_u8; 1_000])));
    assert_eq!((counted.count_total, counted.bytes_max), (1, 1_000));
    assert_eq!(counted.bytes_current, 0);
}

#[test]
fn a_header_that_claims_a_huge_block_costs_next_to_nothing() {
    let claims = [
        extended_header("block", i64::MAX as u64),
        header("block", u32::MAX, [0; 4]),
    ];
    for mut bytes in claims {
        bytes.extend_from_slice(&[7; 100]);
        let counted = measure(|| {
            let mut frames = FrameReader::new(MAGIC, keep_all());
            let mut source = &bytes[..];
            while frames.read_from(&mut source).unwrap() > 0 {
                assert_eq!(frames.next_frame(), Ok(None));
            }
            assert!(frames.arriving().is_some());
            black_box(frames);
        });
        assert!(counted.bytes_max < 16 * 1024, "{counted:?}");
    }
}

#[test]
fn a_header_above_its_limit_is_refused_without_a_byte_for_its_payload() {
    for bytes in [
        header("inv", u32::MAX, [0; 4]),
        extended_header("block", u64::MAX),
    ] {
        let mut frames = FrameReader::new(MAGIC, keep_all());
        frames.read_from(&mut &bytes[..]).unwrap();
        let counted = measure(|| {
            let refused = frames.next_frame();
            assert!(matches!(refused, Err(FrameError::TooLong { .. })));
        });
        // The command's name is all.
        assert!(counted.bytes_total <= 2 * 12, "{counted:?}");
    }
}

#[test]
fn a_claimed_gibibyte_that_trickles_in_costs_at_most_twice_what_has_arrived() {
    const GIB: u32 = 1 << 30;
    for (step, enough) in [
        (1, 20_000),
        (1_000, 700_000),
        (8_192, 700_000),
        (1 << 20, 3_000_000),
    ] {
        let mut frames = FrameReader::new(MAGIC, keep_all());
        let mut source = Trickle {
            start: header("block", GIB, [0; 4]),
            step,
            given: 0,
        };
        let (mut live, mut most) = (0, 0);
        while source.given < enough {
            let counted = measure(|| {
                frames.read_from(&mut source).unwrap();
                assert_eq!(frames.next_frame(), Ok(None));
            });
            live += counted.bytes_current;
            let bound = 2 * source.given as i64 + 64 * 1024;
            assert!(live <= bound, "{live} bytes live, {} arrived", source.given);
            most = most.max(live);
        }
        assert!(most as usize >= source.given, "what has arrived is kept");
    }
}

#[test]
fn a_payload_that_is_passed_over_or_dropped_costs_no_more_than_the_arrival_buffer() {
    let narrow = PayloadLimits {
        buffered: 1_000,
        ..PayloadLimits::default()
    };
    let mut bad = header("block", 1 << 20, [0; 4]);
    bad[15] = b'x';
    for (start, limits) in [
        (header("block", 1 << 20, [0; 4]), narrow),
        (extended_header("block", 1 << 20), narrow),
        (bad, keep_all()),
    ] {
        let counted = measure(|| {
            let mut frames = FrameReader::new(MAGIC, limits);
            let mut source = Trickle {
                start,
                step: usize::MAX,
                given: 0,
            };
            loop {
                frames.read_from(&mut source).unwrap();
                match frames.next_frame() {
                    Ok(None) => {}
                    Ok(Some(Incoming::PassedOver { len, .. })) => break assert_eq!(len, 1 << 20),
                    Ok(Some(Incoming::Dropped(_))) => break,
                    other => panic!("{other:?}"),
                }
            }
        });
        // 8 KiB and 64 KiB are there together while the buffer grows.
        assert!(counted.bytes_max < 74 * 1024, "{counted:?}");
    }
}

#[test]
fn a_streamed_block_costs_one_chunk_whatever_its_length() {
    const LEN: u64 = 64 << 20;
    let mut count = 0;
    let counted = measure(|| {
        let mut frames = FrameReader::new(MAGIC, PayloadLimits::default());
        frames.announce_blocks(true);
        let mut source = Trickle {
            start: extended_header("block", LEN),
            step: usize::MAX,
            given: 0,
        };
        loop {
            match frames.next_frame().unwrap() {
                Some(Incoming::BlockBegins { len, .. }) => {
                    assert_eq!(len, LEN);
                    frames.stream_block(Vec::new());
                }
                Some(Incoming::BlockChunk(chunk)) => {
                    count += chunk.len() as u64;
                    frames.refill(chunk);
                }
                Some(Incoming::BlockEnds { .. }) => break,
                Some(other) => panic!("{other:?}"),
                None => drop(frames.read_from(&mut source).unwrap()),
            }
        }
    });
    assert_eq!(count, LEN);
    // The chunk, the arrival buffer in two sizes, and the header.
    assert!(counted.bytes_max < (256 + 73) * 1024, "{counted:?}");
    assert!(
        counted.count_total < 10,
        "buffers are used again: {counted:?}"
    );
}

#[test]
fn a_scanner_costs_nothing_while_transactions_pass_in_whatever_pieces() {
    let transaction = Transaction {
        version: 1,
        inputs: Vec::new(),
        outputs: vec![TransactionOutput {
            value: 0,
            script: vec![0; 100_000],
        }],
        lock_time: 0,
    };
    let header = BlockHeader::genesis(Network::Mainnet);
    let block = Block::new(&header, &vec![transaction; 20]);
    let mut scanner = BlockScanner::new(block.bytes().len() as u64);
    let counted = measure(|| {
        for mut piece in block.bytes().chunks(7_000) {
            while scanner.scan(&mut piece).unwrap().is_some() {}
        }
    });
    assert!(scanner.is_complete());
    // The place inside of each transaction that does not come in one piece.
    assert!(counted.bytes_max < 1024, "{counted:?}");
}

#[test]
fn a_quiet_peer_costs_eight_kib_also_after_a_burst() {
    let mut bytes = Vec::new();
    while bytes.len() < 200_000 {
        encode_frame(MAGIC, &Message::Ping(Ping::new(7)), &mut bytes);
    }
    // Silence may fall inside a header, also an extended one.
    for behind in [0, 1, 23, 24, 43] {
        let mut bytes = bytes.clone();
        bytes.extend_from_slice(&extended_header("ping", 8)[..behind]);
        let mut frames = FrameReader::new(MAGIC, keep_all());
        let counted = measure(|| {
            let mut source = &bytes[..];
            while frames.read_from(&mut source).unwrap() > 0 {
                while frames.next_frame().unwrap().is_some() {}
            }
            assert!(frames.read_from(&mut Silence).is_err());
        });
        assert!(counted.bytes_max > 64 * 1024, "the burst is no burst");
        assert!(counted.bytes_current <= 8 * 1024, "{behind}: {counted:?}");
    }
}

#[test]
fn a_small_frame_keeps_its_payload_alone() {
    let mut bytes = Vec::new();
    for nonce in 0..100 {
        encode_frame(MAGIC, &Message::Ping(Ping::new(nonce)), &mut bytes);
    }
    let mut frames = FrameReader::new(MAGIC, keep_all());
    let mut kept = Vec::with_capacity(100);
    frames.read_from(&mut &bytes[..]).unwrap();
    let counted = measure(|| {
        while let Some(incoming) = frames.next_frame().unwrap() {
            kept.push(incoming);
        }
    });
    assert_eq!(kept.len(), 100);
    assert_eq!(counted.bytes_current, 800);
    assert_eq!(counted.count_total, 100, "one allocation for each frame");
}

#[test]
fn a_hostile_count_allocates_nothing() {
    const MANY: [u8; 5] = [0xfe, 0xff, 0xff, 0xff, 0xff];
    let behind = |start: usize| [&vec![1; start][..], &MANY, &[1; 200]].concat();
    // The place of each count and length that a payload can have.
    for (command, start) in [
        ("addr", 0),
        ("inv", 0),
        ("getdata", 0),
        ("notfound", 0),
        ("getheaders", 4),
        ("getblocks", 4),
        ("gethdrsen", 4),
        ("createstrm", 0),
        ("streamack", 0),
        ("filterload", 0),
        ("filteradd", 0),
        ("authresp", 0),
        ("alert", 0),
        ("headers", 0),
        ("block", 80),
        ("cmpctblock", 88),
        ("getblocktxn", 32),
        ("blocktxn", 32),
        ("tx", 4),
        ("reject", 0),
    ] {
        refused_for_nothing(command, behind(start));
    }
    // Behind something that is in order.
    let block = big_block();
    let transaction = Network::genesis_transaction();
    let script_len_at = 4 + 1 + 36;
    let outputs_at = transaction.len() - 4 - 1 - 8 - 67;
    for at in [script_len_at, outputs_at - 1, outputs_at + 8] {
        let hostile = [&transaction[..at], &MANY, &transaction[at..]].concat();
        refused_for_nothing("tx", hostile.clone());
        let before = &block.bytes()[..block.bytes().len() - transaction.len()];
        // The transactions before it have places already, for which there are enough bytes.
        refused_for("block", [before, &hostile].concat(), 1, 500 * PLACE);
        refused_for_nothing("blocktxn", [&[7; 32][..], &[1], &hostile].concat());
        let before = [&[7; 88][..], &[1, 1, 2, 3, 4, 5, 6], &[1, 0]].concat();
        refused_for_nothing("cmpctblock", [&before, &hostile[..]].concat());
    }
    refused_for_nothing("hdrsen", behind(0));
    refused_for_nothing("merkleblock", behind(84));
    let flags = [&[0; 84][..], &[0], &MANY, &[1; 200]].concat();
    refused_for_nothing("merkleblock", flags);
    for hostile in hostile_proofs(&MANY) {
        let part = [&[0; 10][..], &hostile].concat();
        let header = [&[1][..], &[0; 80], &[1, 1, 1], &part].concat();
        // A transaction before the count already shares the payload: that is one counter of those who do.
        refused_for("datareftx", part, 1, 32);
        refused_for("hdrsen", header, 1, 32);
        refused_for("dsdetected", [&[1, 0, 1, 0][..], &hostile].concat(), 1, 32);
    }
    for behind_version in [&[][..], &[1]] {
        let start = [&[1, 0][..], behind_version].concat();
        refused_for_nothing("dsdetected", [&start, &MANY[..], &[1; 200]].concat());
    }
    let short_ids = [&[7; 88][..], &[1, 1, 2, 3, 4, 5, 6], &MANY, &[0; 200]].concat();
    refused_for_nothing("cmpctblock", short_ids);
    let policies = [&[2, 0, 0, 16, 0][..], &MANY].concat();
    refused_for_nothing("protoconf", policies);
    refused_for_nothing("createstrm", [&[0, 2][..], &MANY].concat());
    let signature = [&[33][..], &[2; 33], &[7; 8], &MANY].concat();
    refused_for_nothing("authresp", signature);
    let signatures = [&[0; 4][..], &[2; 99], &MANY].concat();
    refused_for_nothing("revokemid", signatures);
}

/// Proofs with this count for the nodes, and for the inputs of the transaction.
fn hostile_proofs(count: &[u8]) -> [Vec<u8>; 3] {
    let by_name = [&[0, 0][..], &[0; 64], count, &[0; 200]].concat();
    let whole = [&[5, 1, 10][..], &[0; 10], &[0; 32], count, &[0; 200]].concat();
    let inputs = [&[5, 1, 10][..], &[0; 4], count, &[0; 200]].concat();
    [by_name, whole, inputs]
}

fn refused_for_nothing(command: &str, payload: Vec<u8>) {
    refused_for(command, payload, 0, 0);
}

/// Refused with at most so many allocations, of at most so many bytes.
fn refused_for(command: &str, payload: Vec<u8>, most: u64, bytes: u64) {
    let payload = Bytes::from(payload);
    let command = Command::new(command);
    let counted = measure(|| assert!(Message::decode(command, payload).is_err(), "{command}"));
    assert!(counted.count_total <= most, "{command}: {counted:?}");
    assert!(counted.bytes_total <= bytes, "{command}: {counted:?}");
}

/// What a message costs that is decoded from `payload`: while it is decoded, and after.
fn decoded(command: Command, payload: &[u8]) -> (Message, AllocationInfo) {
    let mut message = None;
    let counted = measure(|| {
        let payload = Bytes::from(payload.to_vec());
        message = Some(Message::decode(command, payload).unwrap());
    });
    (message.unwrap(), counted)
}

#[test]
fn a_decoded_message_holds_at_most_twice_its_payload() {
    for message in messages() {
        let payload = message.encode_to_vec();
        let (read, counted) = decoded(message.command(), &payload);
        assert_eq!(read, message);
        let twice = 2 * payload.len() as i64 + 128;
        let name = message.command();
        assert!(counted.bytes_current <= twice, "{name}: {counted:?}");
        // While it is read, the payload itself is there too.
        let peak = twice as u64 + payload.len() as u64;
        assert!(counted.bytes_max <= peak, "{name}: {counted:?}");
    }
}

#[test]
fn what_is_kept_as_it_came_shares_its_payload() {
    let tx = Tx::from(&one_transaction());
    let indexes: Vec<u32> = (0..1_000).collect();
    for message in [
        Message::Block(big_block()),
        Message::CompactBlock(CompactBlock::new(&big_block(), 7)),
        Message::GetBlockTxn(GetBlockTxn::new(BlockHash::ZERO, &indexes).unwrap()),
        Message::BlockTransactions(big_answer()),
        Message::Tx(tx),
        Message::Hdrsen(enriched_headers(true)),
        Message::DsDetected(conflicting_blocks(0, 1)),
    ] {
        assert!(message.shared_payload().is_some(), "{message:?}");
        let bytes = message.encode_to_vec();
        let payload = Bytes::from(bytes);
        let mut read = None;
        let counted =
            measure(|| read = Some(Message::decode(message.command(), payload.clone()).unwrap()));
        let places = match &message {
            Message::Block(block) => block.transaction_count() as u64 * PLACE,
            _ => 0,
        };
        // Else only the counters of those who share.
        assert!(counted.bytes_total <= 64 + places, "{counted:?}");
        let read = read.unwrap();
        let shared = read.shared_payload().unwrap();
        assert_eq!(
            (shared.as_ptr(), shared.len()),
            (payload.as_ptr(), payload.len())
        );
        // It goes out again without a copy.
        let counted = measure(|| {
            let frame = EncodedFrame::new(MAGIC, &read);
            assert_eq!(frame.payload().as_ptr(), payload.as_ptr());
            black_box((frame.clone(), read.clone()));
        });
        assert!(counted.bytes_total <= 64, "{counted:?}");
    }
}

#[test]
fn a_compact_block_without_a_pool_costs_no_more_than_twice_its_short_ids() {
    let names = 100_000_u64;
    let mut payload = BlockHeader::genesis(Network::Regtest).encode_to_vec();
    payload.extend_from_slice(&[7; 8]);
    write_compact_size(names, &mut payload);
    (0..names).for_each(|id| payload.extend_from_slice(&id.to_le_bytes()[..6]));
    payload.push(0);
    let compact = CompactBlock::from_payload(payload.into()).unwrap();
    let mut kept = None;
    let counted = measure(|| {
        let nothing = std::iter::empty::<(Txid, Tx)>();
        kept = Some(Reconstruction::start(compact.clone(), u64::MAX, nothing).unwrap());
    });
    let Some(Reconstructed::Incomplete(waiting)) = kept else {
        panic!("{kept:?}");
    };
    assert_eq!(waiting.missing().len() as u64, names);
    assert!(counted.bytes_max <= 12 * names, "{counted:?}");
    assert!(counted.bytes_current <= 6 * names as i64, "{counted:?}");
    // An answer of another length is refused before anything is put together.
    let answer = big_answer();
    let other = BlockTransactions::new(waiting.block(), &[]);
    let counted = measure(|| {
        assert!(waiting.fill(&answer).is_err());
        assert!(waiting.fill(&other).is_err());
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn reading_all_of_a_block_through_its_views_allocates_nothing() {
    let block = big_block();
    let counted = measure(|| {
        let mut paid = 0;
        for transaction in block.transactions() {
            black_box(transaction.txid());
            black_box(transaction.inputs().count());
            paid += transaction
                .outputs()
                .map(|output| output.value)
                .sum::<i64>();
        }
        assert_eq!(paid, 500 * 5_000_000_000);
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn the_parts_of_a_message_that_is_kept_as_it_came_share_its_payload_too() {
    let hdrsen = enriched_headers(true);
    let counted = measure(|| {
        for header in hdrsen.headers() {
            assert_eq!(
                header.coinbase.as_ref().unwrap().tx.txid(),
                black_box(header.miner_info.unwrap().tx.txid())
            );
        }
    });
    // Only the counter of those who share.
    assert!(counted.bytes_total <= 64, "{counted:?}");
    let dsdetected = conflicting_blocks(0, 1);
    let counted = measure(|| {
        for block in dsdetected.blocks() {
            black_box(block.proof.root());
        }
    });
    assert!(counted.bytes_total <= 64, "{counted:?}");
}

#[test]
fn a_tree_that_claims_all_the_transactions_there_can_be_costs_no_more_than_its_hashes() {
    for hashes in [0, 1, 1_000] {
        let block = merkle_block(hashes);
        let counted = measure(|| drop(black_box(block.verify())));
        assert_eq!(counted.count_total, 0, "{counted:?}");
    }
}

#[test]
fn encoding_into_a_buffer_with_room_allocates_nothing() {
    let mut out = Vec::with_capacity(600_000);
    for message in messages() {
        out.clear();
        let counted = measure(|| encode_frame(MAGIC, &message, &mut out));
        assert_eq!(counted.count_total, 0, "{}", message.command());
        assert_eq!(out.len() as u64, 24 + message.encoded_len());
    }
}

#[test]
fn encoding_into_an_empty_buffer_allocates_once_and_no_more_than_the_frame() {
    for message in messages() {
        let mut out = Vec::new();
        let counted = measure(|| encode_frame(MAGIC, &message, &mut out));
        assert_eq!(counted.count_total, 1, "{}", message.command());
        assert!(
            counted.bytes_max <= out.len().max(64) as u64,
            "{}",
            message.command()
        );
    }
}

#[test]
fn a_header_chain_costs_less_than_96_bytes_a_header() {
    let mut chain = HeaderChain::new(Network::Regtest);
    let mut list = Vec::with_capacity(MAX_HEADERS);
    let mut live = 0;
    let mut previous = BlockHeader::genesis(Network::Regtest);
    for _ in 0..25 {
        list.clear();
        for _ in 0..MAX_HEADERS {
            let mut header = BlockHeader {
                previous: previous.hash(),
                ..previous
            };
            while header.check_proof_of_work(Network::Regtest).is_err() {
                header.nonce = header.nonce.wrapping_add(1);
            }
            list.push(header);
            previous = header;
        }
        let counted = measure(|| drop(chain.extend(&list).unwrap()));
        live += counted.bytes_current;
        let headers = i64::from(chain.tip().0);
        // One piece of 160 KiB may be nearly empty.
        assert!(
            live <= 96 * headers + 160 * 1024,
            "{live} bytes, {headers} headers"
        );
        // Beside it the hashes of one message, twice, and the old table while it grows.
        assert!(counted.bytes_max <= 1024 * 1024, "{counted:?}");
    }
    assert_eq!(chain.tip().0, 50_000);
}
