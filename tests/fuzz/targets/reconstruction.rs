//! Reconstruction of blocks from compact blocks, a pool of transactions and responses of a peer,
//! compared with a straightforward implementation.
//!
//! Input: the form of the compact block (0 as the node makes it, 1 for chosen positions, 2 for any
//! payload; 4 for a low maximum block size), the number of transactions of the block, the nonce,
//! the data of the form; the number of candidates, each with the number of its name and of its
//! transaction; then responses and, with the number 16, requests of other peers.

use bsv_p2p::wire::{
    Block, BlockError, BlockTransactions, CompactBlock, Decode, GetBlockTxn, ReconstructOutcome,
    Reconstruction, ReconstructionError, Transaction, TransactionView, Tx, Txid,
};

use super::by_definition;
use super::compact::{answer, block, by_hand, candidate, payload};
use super::input::Input;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let form = input.u8();
    let block = block(input.u8() % 32);
    let nonce = input.u8();
    let compact = match form % 4 {
        0 => CompactBlock::new(&block, nonce.into()),
        1 => by_hand(&block, nonce, &mut input),
        _ => match CompactBlock::from_payload(payload(&mut input)) {
            Ok(compact) => compact,
            Err(_) => return,
        },
    };
    let max_block = match form & 4 {
        0 => u64::MAX,
        _ => u64::from(input.u8()),
    };
    let pool: Vec<_> = (0..input.u8() % 32)
        .map(|_| candidate(&mut input))
        .collect();
    look_at_compact(&compact);
    let expected = Expected::of(&compact, max_block, &pool);
    let candidates = pool.iter().map(|(txid, tx)| (*txid, tx));
    let waiting = match (
        Reconstruction::start(compact.clone(), max_block, candidates),
        expected,
    ) {
        (Err(error), Err(expected)) => return look_at_error(&error, &expected),
        (Err(error), Ok(expected)) => {
            assert!(expected.missing().is_empty());
            return look_at_error(&error, &expected.filled(&[]).unwrap_err());
        }
        (Ok(ReconstructOutcome::Complete(rebuilt)), Ok(expected)) => {
            assert!(expected.missing().is_empty());
            assert_eq!(Ok(&rebuilt), expected.filled(&[]).as_ref());
            return look_at_block(&rebuilt, &compact, &block);
        }
        (Ok(ReconstructOutcome::Incomplete(waiting)), Ok(expected)) => {
            Waiting { waiting, expected }
        }
        (Ok(other), Err(expected)) => panic!("{expected}, but {other:?}"),
    };
    waiting.look();
    while let Some(kind) = input.next() {
        if kind & 16 != 0 {
            if let Ok(question) = GetBlockTxn::decode_from(&payload(&mut input)) {
                look_at_question(&block, &question);
            }
        } else if let Some(answer) = answer(kind, &block, &waiting.waiting, &mut input) {
            waiting.fill(&answer, &block);
        }
    }
    // No response changes the missing transactions.
    waiting.look();
}

/// The expected result of a reconstruction.
struct Expected<'a> {
    compact: &'a CompactBlock,
    /// The known transaction of each position.
    places: Vec<Option<Transaction>>,
}

impl<'a> Expected<'a> {
    fn of(
        compact: &'a CompactBlock,
        max_block: u64,
        pool: &[(Txid, Tx)],
    ) -> Result<Self, ReconstructionError> {
        compact.check()?;
        let got = compact.transaction_count() as u64;
        let limit = (max_block / 10).min(u32::MAX.into());
        if got > limit {
            return Err(ReconstructionError::TooManyTransactions { limit, got });
        }
        let mut ids: Vec<u64> = compact.short_ids().collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ReconstructionError::Collision(pair[0]));
        }
        let mut places = vec![None; compact.transaction_count()];
        for (index, transaction) in compact.prefilled() {
            places[index as usize] = Some(Transaction::from(transaction));
        }
        let candidates = looked_at(compact, pool);
        let named = places.iter_mut().filter(|place| place.is_none());
        for (place, id) in named.zip(compact.short_ids()) {
            *place = found(&candidates, id);
        }
        Ok(Self { compact, places })
    }

    fn missing(&self) -> Vec<u32> {
        let places = (0..).zip(&self.places);
        let missing = places.filter(|(_, place)| place.is_none());
        missing.map(|(index, _)| index).collect()
    }

    fn filled(&self, answer: &[Transaction]) -> Result<Block, ReconstructionError> {
        let (expected, got) = (self.missing().len(), answer.len());
        if expected != got {
            return Err(ReconstructionError::CountMismatch { expected, got });
        }
        let mut answer = answer.iter().cloned();
        let places = self.places.iter().cloned();
        let transactions: Vec<_> = places
            .filter_map(|place| place.or_else(|| answer.next()))
            .collect();
        let txids: Vec<Txid> = transactions.iter().map(Transaction::txid).collect();
        let expected = self.compact.header().merkle_root;
        match by_definition::merkle_root(&txids) {
            (got, _) if got != expected => {
                Err(BlockError::MerkleRootMismatch { expected, got }.into())
            }
            (got, true) => Err(BlockError::DuplicatedTransactions(got).into()),
            _ => Ok(Block::new(&self.compact.header(), &transactions)),
        }
    }
}

/// Returns the candidates by short ID. Candidates after the one that completes the short IDs of the
/// block are not examined.
fn looked_at<'a>(compact: &CompactBlock, pool: &'a [(Txid, Tx)]) -> Vec<(u64, &'a (Txid, Tx))> {
    let key = compact.short_id_key();
    let mut named: Vec<_> = pool
        .iter()
        .map(|candidate| (key.short_id(&candidate.0), candidate))
        .collect();
    let first = |id| named.iter().position(|(other, _)| *other == id);
    let firsts: Option<Vec<usize>> = compact.short_ids().map(first).collect();
    if let Some(last) = firsts.and_then(|firsts| firsts.into_iter().max()) {
        named.truncate(last + 1);
    }
    named
}

/// Returns the candidate of a short ID: none if two with different names match.
fn found(candidates: &[(u64, &(Txid, Tx))], id: u64) -> Option<Transaction> {
    let mut matching = candidates.iter().filter(|(other, _)| *other == id);
    let (_, (name, tx)) = matching.next()?;
    let alone = matching.all(|(_, (other, _))| other == name);
    alone.then(|| Transaction::from(tx.view()))
}

/// A block with missing transactions, and the expected result.
struct Waiting<'a> {
    waiting: Reconstruction,
    expected: Expected<'a>,
}

impl Waiting<'_> {
    /// Asserts that repeated calls return the same.
    fn look(&self) {
        let missing = self.expected.missing();
        assert!(!missing.is_empty());
        assert_eq!(self.waiting.missing(), missing);
        assert_eq!(self.waiting.block(), self.expected.compact.hash());
        assert!(!format!("{:?}", self.waiting).is_empty());
        let request = self.waiting.request();
        assert_eq!(request.block(), self.waiting.block());
        assert!(request.indexes().eq(missing.iter().copied()));
        assert_eq!(
            GetBlockTxn::decode_from(request.bytes()).as_ref(),
            Ok(&request)
        );
        assert_eq!(GetBlockTxn::new(request.block(), &missing), Ok(request));
    }

    fn fill(&self, answer: &BlockTransactions, block: &Block) {
        assert_eq!(
            BlockTransactions::decode_from(answer.bytes()).as_ref(),
            Ok(answer)
        );
        let transactions: Vec<_> = answer.transactions().map(Transaction::from).collect();
        assert_eq!(transactions.len(), answer.transaction_count());
        let (expected, got) = (self.waiting.block(), answer.block());
        let expected = if expected == got {
            self.expected.filled(&transactions)
        } else {
            Err(ReconstructionError::BlockMismatch { expected, got })
        };
        match (self.waiting.fill(answer), expected) {
            (Err(error), Err(expected)) => look_at_error(&error, &expected),
            (rebuilt, expected) => {
                assert_eq!(rebuilt, expected);
                let rebuilt = expected.expect("both are blocks");
                look_at_block(&rebuilt, self.expected.compact, block);
            }
        }
    }
}

fn look_at_compact(compact: &CompactBlock) {
    let again = CompactBlock::decode_from(compact.bytes());
    assert_eq!(again.as_ref(), Ok(compact));
    assert!(!format!("{compact:?}").is_empty());
    let count = compact.transaction_count();
    let (named, prefilled) = (compact.short_ids().len(), compact.prefilled().len());
    assert_eq!(named + prefilled, count);
    assert_eq!(compact.prefilled().count(), prefilled);
    // It is a block if every prefilled transaction is valid and at its position.
    let fits = |(index, transaction): (u64, TransactionView<'_>)| {
        let transaction = Transaction::from(transaction);
        let empty = transaction.inputs.is_empty() && transaction.outputs.is_empty();
        index < count as u64 && !empty
    };
    let has_target = compact.header().bits.0 != 0;
    let valid = has_target && count > 0 && compact.prefilled().all(fits);
    assert_eq!(compact.check().is_ok(), valid);
}

fn look_at_error(error: &ReconstructionError, expected: &ReconstructionError) {
    assert_eq!(error, expected);
    assert!(!error.to_string().is_empty());
    assert!(error.score() == 0 || !error.needs_full_block());
}

/// Asserts that a reconstructed block has the announced header, which only one block has.
fn look_at_block(rebuilt: &Block, compact: &CompactBlock, block: &Block) {
    assert_eq!(rebuilt.header(), compact.header());
    assert_eq!(rebuilt.check_merkle_root(), Ok(()));
    assert_eq!(Block::decode_from(rebuilt.bytes()).as_ref(), Ok(rebuilt));
    let announced = CompactBlock::new(rebuilt, compact.nonce());
    assert_eq!(announced.transaction_count(), compact.transaction_count());
    if rebuilt.hash() == block.hash() {
        assert_eq!(rebuilt, block);
    }
}

/// Asserts that a request is answered completely, or rejected for the first index that the block
/// does not have.
fn look_at_question(block: &Block, question: &GetBlockTxn) {
    let indexes: Vec<u32> = question.indexes().collect();
    assert!(indexes.is_sorted_by(|before, index| before < index));
    let again = GetBlockTxn::new(question.block(), &indexes);
    assert_eq!(again.as_ref(), Ok(question));
    let transactions = block.transaction_count();
    let beyond = indexes
        .iter()
        .find(|&&index| index as usize >= transactions);
    let answer = match (BlockTransactions::for_request(block, question), beyond) {
        (Err(error), Some(&index)) => {
            return assert_eq!((error.index, error.transactions), (index, transactions));
        }
        (answer, _) => answer.expect("the block has every transaction"),
    };
    assert_eq!(answer.block(), question.block());
    let views: Vec<_> = block.transactions().collect();
    let asked = indexes.iter().map(|&index| views[index as usize]);
    assert!(answer.transactions().eq(asked));
}
