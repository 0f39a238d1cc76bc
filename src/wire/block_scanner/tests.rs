//! Compares the scanner and the parser of arriving blocks with the decoder of complete blocks.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::network::Network;
use crate::wire::{
    BlockError, BlockParser, MerkleRoot, OutPoint, Transaction, TransactionInput,
    TransactionOutput, merkle_root,
};

/// The output of a scanner, with the parts of transactions joined.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    header: Option<BlockHeader>,
    count: Option<u64>,
    transactions: Vec<(Txid, Vec<u8>)>,
    /// The number of bytes after the last transaction.
    trailing: usize,
}

/// Scans `payload` in chunks whose lengths repeat those of `cuts`.
fn scan(payload: &[u8], cuts: &[usize]) -> Result<(Seen, BlockScanner), DecodeError> {
    let mut scanner = BlockScanner::new(payload.len() as u64);
    let mut seen = Seen::default();
    let (mut rest, mut partial) = (payload, Vec::new());
    let mut cuts = cuts.iter().cycle();
    loop {
        let (mut piece, trailing) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
        rest = trailing;
        while let Some(scanned) = scanner.scan(&mut piece)? {
            match scanned {
                ScanEvent::Header(header) => assert_eq!(seen.header.replace(header), None),
                ScanEvent::TransactionCount(count) => {
                    assert_eq!(seen.count.replace(count), None);
                }
                ScanEvent::Transaction(txid, transaction) => {
                    assert!(partial.is_empty());
                    let again =
                        TransactionView::read(&mut crate::wire::Reader::new(transaction.bytes()));
                    assert_eq!(again, Ok(transaction));
                    seen.transactions.push((txid, transaction.bytes().to_vec()));
                }
                ScanEvent::Piece { at, bytes, end } => {
                    assert!(!bytes.is_empty());
                    assert_eq!(at, partial.len() as u64);
                    partial.extend_from_slice(bytes);
                    if let Some(TransactionEnd { txid, len }) = end {
                        assert_eq!(len, partial.len() as u64);
                        seen.transactions.push((txid, std::mem::take(&mut partial)));
                    }
                }
            }
        }
        seen.trailing += piece.len();
        assert!(piece.is_empty() || scanner.is_complete());
        if rest.is_empty() {
            return Ok((seen, scanner));
        }
    }
}

fn decoded(payload: &[u8]) -> Result<Seen, DecodeError> {
    let block = Block::from_payload(Bytes::copy_from_slice(payload))?;
    let transactions = block.transactions();
    Ok(Seen {
        header: Some(block.header()),
        count: Some(transactions.len() as u64),
        transactions: transactions
            .map(|transaction| (transaction.txid(), transaction.bytes().to_vec()))
            .collect(),
        trailing: payload.len() - block.bytes().len(),
    })
}

/// Parses `payload` as it arrives in chunks whose lengths repeat those of `cuts`.
fn parse(payload: &[u8], cuts: &[usize]) -> Result<Block, DecodeError> {
    let mut parser = BlockParser::new();
    let mut received = 0;
    for cut in cuts.iter().cycle() {
        received = payload.len().min(received + cut);
        parser.advance(&payload[..received]);
        if received == payload.len() {
            break;
        }
    }
    parser.finish(&Bytes::copy_from_slice(payload))
}

/// Returns the bytes of the transactions. The index of the block determines where they end.
fn transactions(block: &Block) -> Vec<(&[u8], usize)> {
    let each = block.transactions();
    each.map(|transaction| (transaction.bytes(), transaction.outputs().len()))
        .collect()
}

fn any_script() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..40),
        1 => vec(any::<u8>(), 250..260),
        1 => (65_530..65_540_usize).prop_map(|len| vec![7; len]),
    ]
}

fn any_transaction() -> impl Strategy<Value = Transaction> {
    let input = (any::<[u8; 32]>(), any_script()).prop_map(|(txid, script)| TransactionInput {
        previous: OutPoint {
            txid: Txid(txid),
            index: 1,
        },
        script,
        sequence: 2,
    });
    let output = any_script().prop_map(|script| TransactionOutput { value: 3, script });
    (vec(input, 0..4), vec(output, 0..4)).prop_map(|(inputs, outputs)| Transaction {
        version: 1,
        inputs,
        outputs,
        lock_time: 9,
    })
}

fn block_of(transactions: &[Transaction]) -> Block {
    let (merkle_root, _) = merkle_root(transactions.iter().map(Transaction::txid));
    let header = BlockHeader {
        merkle_root,
        ..BlockHeader::genesis(&Network::Regtest)
    };
    Block::new(&header, transactions)
}

fn any_cuts() -> impl Strategy<Value = Vec<usize>> {
    let cut = prop_oneof![3 => 1..20_usize, 2 => 20..500_usize, 1 => 1_000..100_000_usize];
    vec(cut, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn chunked_block_scans_like_decoded_block(
        transactions in vec(any_transaction(), 0..12),
        cuts in any_cuts(),
        trailing in vec(any::<u8>(), 0..3),
    ) {
        let block = block_of(&transactions);
        let mut payload = block.bytes().to_vec();
        payload.extend(trailing);
        let (seen, scanner) = scan(&payload, &cuts).unwrap();
        prop_assert_eq!(seen, decoded(&payload).unwrap());
        prop_assert!(scanner.is_complete());
        // Both detect two equal adjacent transactions.
        prop_assert_eq!(scanner.check_merkle_root(), block.check_merkle_root());
        prop_assert_eq!(scanner.transactions(), transactions.len() as u64);
        let parsed = parse(&payload, &cuts).unwrap();
        prop_assert_eq!(self::transactions(&parsed), self::transactions(&block));
        prop_assert_eq!(parsed, block);
    }

    #[test]
    fn damaged_block_fails_like_decoded_block(
        transactions in vec(any_transaction(), 1..6),
        cuts in any_cuts(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        len in any::<prop::sample::Index>(),
        cut_short in any::<bool>(),
    ) {
        let mut payload = block_of(&transactions).bytes().to_vec();
        for (at, byte) in damage {
            // The first bytes contain more sizes; most other bytes are scripts.
            let at = at.index(payload.len().min(200));
            payload[at] = byte;
        }
        if cut_short {
            payload.truncate(len.index(payload.len()));
        }
        let scanned = scan(&payload, &cuts);
        let block = Block::from_payload(payload.clone().into());
        if let (Ok((_, scanner)), Ok(block)) = (&scanned, &block) {
            prop_assert_eq!(scanner.check_merkle_root(), block.check_merkle_root());
        }
        prop_assert_eq!(scanned.map(|(seen, _)| seen), decoded(&payload));
        prop_assert_eq!(parse(&payload, &cuts), block);
    }
}

#[test]
fn block_scanned_by_bytes_equals_decoded_block() {
    let mut payload = Block::genesis(&Network::Mainnet).bytes().to_vec();
    payload.extend_from_slice(b"unused");
    let (seen, scanner) = scan(&payload, &[1]).unwrap();
    assert_eq!(seen, decoded(&payload).unwrap());
    assert_eq!(seen.trailing, 6);
    assert_eq!(
        scanner.header(),
        Some(&BlockHeader::genesis(&Network::Mainnet))
    );
    assert_eq!(scanner.check_merkle_root(), Ok(()));
}

#[test]
fn truncated_block_fails_like_decoded_block() {
    let script = vec![5; 300];
    let output = TransactionOutput { value: 1, script };
    let transaction = Transaction {
        outputs: vec![output],
        ..Transaction::default()
    };
    let whole = block_of(&[Transaction::default(), transaction])
        .bytes()
        .clone();
    for len in 0..=whole.len() {
        for cut in [1, 7, 10_000] {
            let payload = &whole[..len];
            let seen = scan(payload, &[cut]).map(|(seen, _)| seen);
            assert_eq!(seen, decoded(payload), "{len} bytes in pieces of {cut}");
            let block = Block::from_payload(Bytes::copy_from_slice(payload));
            assert_eq!(
                parse(payload, &[cut]),
                block,
                "{len} bytes in pieces of {cut}"
            );
        }
    }
}

#[test]
fn excessive_length_is_rejected_before_its_bytes() {
    let mut start = Network::Regtest.genesis_header().to_bytes().to_vec();
    start.extend([1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let hostile: [(&[u8], &str, u64); 3] = [
        (
            &[0xfe, 0xff, 0xff, 0xff, 0xff],
            "output script",
            0xffff_ffff,
        ),
        (&[0xff, 0, 0, 0, 0, 1, 0, 0, 0], "output script", 1 << 32),
        (&[0xff; 9], "output script", u64::MAX),
    ];
    for (size, field, value) in hostile {
        let mut scanner = BlockScanner::new(10_000);
        let bytes = [&start[..], size].concat();
        let mut rest = &bytes[..];
        let error = loop {
            match scanner.scan(&mut rest) {
                Ok(scanned) => assert!(scanned.is_some(), "it asks for more"),
                Err(error) => break error,
            }
        };
        let expected = if value > 0xffff_ffff {
            DecodeError::SizeTooLarge { field, value }
        } else {
            DecodeError::Truncated {
                field,
                needed: value,
                left: 10_000 - bytes.len() as u64,
            }
        };
        assert_eq!(error, expected);
        assert_eq!(scanner.scan(&mut &[][..]), Err(expected), "and so it stays");
    }
}

#[test]
fn script_of_four_gigabytes_is_not_stored() {
    let mut start = Network::Regtest.genesis_header().to_bytes().to_vec();
    start.extend([1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    start.extend([0xfe, 0xff, 0xff, 0xff, 0xff]);
    let mut scanner = BlockScanner::new(start.len() as u64 + 0xffff_ffff + 4);
    let mut rest = &start[..];
    while scanner.scan(&mut rest).unwrap().is_some() {}
    let zeros = vec![0; 1 << 20];
    for mib in 0..3 {
        let scanned = scanner.scan(&mut &zeros[..]).unwrap();
        let at = (start.len() - 81 + (mib << 20)) as u64;
        let (bytes, end) = (&zeros[..], None);
        assert_eq!(scanned, Some(ScanEvent::Piece { at, bytes, end }));
    }
    assert!(!scanner.is_complete());
}

#[test]
fn bytes_beyond_the_payload_are_not_looked_at() {
    let payload = Block::genesis(&Network::Regtest).bytes().clone();
    let mut scanner = BlockScanner::new(payload.len() as u64 - 1);
    let mut rest = &payload[..];
    let error = loop {
        if let Err(error) = scanner.scan(&mut rest) {
            break error;
        }
    };
    let short = payload.slice(..payload.len() - 1);
    assert_eq!(Err(error), Block::from_payload(short).map(drop));
}

#[test]
fn other_transactions_and_repeated_ones_are_noticed() {
    let one = Transaction::default();
    let two = Transaction {
        version: 2,
        ..Transaction::default()
    };
    let (root, _) = merkle_root([one.txid(), two.txid(), one.txid()]);
    for (transactions, expected) in [
        (vec![one.clone(), two.clone(), one.clone()], Ok(())),
        (
            vec![one.clone(), two.clone(), one.clone(), one.clone()],
            Err(BlockError::DuplicatedTransactions(root)),
        ),
        (
            vec![two.clone()],
            Err(BlockError::MerkleRootMismatch {
                expected: root,
                got: MerkleRoot(two.txid().0),
            }),
        ),
    ] {
        let header = BlockHeader {
            merkle_root: root,
            ..BlockHeader::genesis(&Network::Regtest)
        };
        let block = Block::new(&header, &transactions);
        let (_, scanner) = scan(block.bytes(), &[13]).unwrap();
        assert_eq!(scanner.check_merkle_root(), expected);
        assert_eq!(scanner.check_merkle_root(), block.check_merkle_root());
    }
}
