//! Mining of blocks with the difficulty of regtest that real nodes accept.

use crate::network::Network;
use crate::wire::{
    Block, BlockHash, BlockHeader, OutPoint, Transaction, TransactionInput, TransactionOutput, Tx,
    merkle_root,
};

/// A version without any bits by which miners voted (BIP9). Nodes accept it at every height.
const BLOCK_VERSION: i32 = 0x2000_0000;

/// OP_TRUE: an output that anyone can spend without a signature.
const OP_TRUE: u8 = 0x51;

/// The content of a block to be mined with the difficulty of regtest.
///
/// Created by [`Chain::template`](super::Chain::template). All fields may be changed before
/// [`mine`](Self::mine).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockTemplate {
    /// The hash of the parent.
    pub previous: BlockHash,
    /// The height of the new block, which its coinbase must contain.
    pub height: u32,
    /// The time in the header, in seconds since 1970.
    pub time: u32,
    /// A number in the coinbase. It makes the blocks of two miners different if all else is equal.
    /// Start with a random number, or count.
    pub extra_nonce: u64,
    /// The locking script of the reward.
    pub reward_script: Vec<u8>,
    /// The transactions after the coinbase, in this order. A transaction must follow those whose
    /// outputs it spends. Their validity is not checked.
    pub transactions: Vec<Tx>,
}

impl BlockTemplate {
    /// Creates a block without transactions whose reward anyone can spend (the script is OP_TRUE
    /// alone).
    pub fn new(previous: BlockHash, height: u32, time: u32, extra_nonce: u64) -> Self {
        Self {
            previous,
            height,
            time,
            extra_nonce,
            reward_script: vec![OP_TRUE],
            transactions: Vec::new(),
        }
    }

    /// Returns the coinbase, which pays [`regtest_subsidy`] to `reward_script`.
    ///
    /// Fees are not claimed, because the amounts of the inputs are unknown. Nodes accept this.
    pub fn coinbase(&self) -> Transaction {
        let mut script = Vec::new();
        push_number(self.height, &mut script);
        let extra_nonce = self.extra_nonce.to_le_bytes();
        script.push(extra_nonce.len() as u8);
        script.extend_from_slice(&extra_nonce);
        Transaction {
            version: 1,
            inputs: vec![TransactionInput {
                previous: OutPoint::NULL,
                script,
                sequence: u32::MAX,
            }],
            outputs: vec![TransactionOutput {
                value: regtest_subsidy(self.height),
                script: self.reward_script.clone(),
            }],
            lock_time: 0,
        }
    }

    /// Mines the block. The search for its nonce takes two attempts on average.
    pub fn mine(&self) -> Block {
        let coinbase = self.coinbase();
        let txids = self.transactions.iter().map(Tx::txid);
        let (merkle_root, _) = merkle_root(std::iter::once(coinbase.txid()).chain(txids));
        let mut header = BlockHeader {
            version: BLOCK_VERSION,
            previous: self.previous,
            merkle_root,
            time: self.time,
            bits: Network::Regtest.proof_of_work_limit(),
            nonce: 0,
        };
        // Every second hash meets the target, so the nonces are not exhausted.
        while header.check_proof_of_work(&Network::Regtest).is_err() {
            header.nonce = header.nonce.wrapping_add(1);
        }
        let mut transactions = vec![coinbase];
        transactions.extend(self.transactions.iter().map(|tx| tx.view().into()));
        Block::new(&header, &transactions)
    }
}

/// Returns the subsidy of a regtest block in satoshi: 50 BSV, halved every 150 blocks (Bitcoin SV
/// node, `src/validation.cpp`, `GetBlockSubsidy`).
pub const fn regtest_subsidy(height: u32) -> i64 {
    match height / 150 {
        halvings @ 0..64 => 5_000_000_000 >> halvings,
        _ => 0,
    }
}

/// Appends a push of a number in the fewest bytes, as BIP34 requires for the height.
fn push_number(number: u32, script: &mut Vec<u8>) {
    match number {
        0 => script.push(0),
        1..=16 => script.push(OP_TRUE + (number - 1) as u8),
        _ => {
            let mut bytes = u64::from(number).to_le_bytes().to_vec();
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            // The highest bit is the sign, so a number that uses it needs one more byte.
            if bytes.last().is_some_and(|&high| high >= 0x80) {
                bytes.push(0);
            }
            script.push(bytes.len() as u8);
            script.extend_from_slice(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> BlockTemplate {
        BlockTemplate::new(
            BlockHeader::genesis(&Network::Regtest).hash(),
            1,
            1_700_000_000,
            7,
        )
    }

    fn spend(value: i64) -> Tx {
        Tx::from(&Transaction {
            version: 2,
            inputs: vec![TransactionInput {
                previous: OutPoint {
                    txid: template().coinbase().txid(),
                    index: 0,
                },
                script: Vec::new(),
                sequence: u32::MAX,
            }],
            outputs: vec![TransactionOutput {
                value,
                script: vec![OP_TRUE],
            }],
            lock_time: 0,
        })
    }

    #[test]
    fn mined_block_has_valid_work_and_merkle_root() {
        let transactions = vec![spend(1), spend(2), spend(3)];
        let template = BlockTemplate {
            transactions: transactions.clone(),
            ..template()
        };
        let block = template.mine();
        assert_eq!(
            block.header().check_proof_of_work(&Network::Regtest),
            Ok(())
        );
        assert_eq!(block.check_merkle_root(), Ok(()));
        assert_eq!(block.header().previous, template.previous);
        assert_eq!(block.header().time, template.time);
        let txids: Vec<_> = block.transactions().map(|view| view.txid()).collect();
        assert_eq!(txids[0], template.coinbase().txid());
        assert_eq!(
            txids[1..],
            transactions.iter().map(Tx::txid).collect::<Vec<_>>()
        );
        assert_eq!(Block::from_payload(block.bytes().clone()), Ok(block));
    }

    #[test]
    fn extra_nonce_makes_blocks_different() {
        let one = template();
        let other = BlockTemplate {
            extra_nonce: 8,
            ..template()
        };
        assert_ne!(one.mine().hash(), other.mine().hash());
        assert_eq!(
            one.mine(),
            template().mine(),
            "the same template makes the same block"
        );
    }

    #[test]
    fn coinbase_contains_height_in_fewest_bytes() {
        for (height, push) in [
            (0, &[0x00][..]),
            (1, &[0x51]),
            (16, &[0x60]),
            (17, &[1, 17]),
            (127, &[1, 127]),
            (128, &[2, 128, 0]),
            (255, &[2, 255, 0]),
            (256, &[2, 0, 1]),
            (32_768, &[3, 0, 0x80, 0]),
            (1_000_000, &[3, 0x40, 0x42, 0x0f]),
            (u32::MAX, &[5, 255, 255, 255, 255, 0]),
        ] {
            let coinbase = BlockTemplate {
                height,
                ..template()
            }
            .coinbase();
            let script = &coinbase.inputs[0].script;
            assert!(script.starts_with(push), "{height}: {script:?}");
            assert!((2..=100).contains(&script.len()), "{height}: {script:?}");
        }
    }

    #[test]
    fn subsidy_halves_every_150_blocks() {
        for (height, satoshi) in [
            (0, 5_000_000_000),
            (149, 5_000_000_000),
            (150, 2_500_000_000),
            (300, 1_250_000_000),
            (150 * 32, 1),
            (150 * 33, 0),
            (150 * 64, 0),
            (u32::MAX, 0),
        ] {
            assert_eq!(regtest_subsidy(height), satoshi, "height {height}");
        }
    }

    #[test]
    fn the_reward_goes_to_the_given_script() {
        let template = BlockTemplate {
            reward_script: vec![0x6a, 0x51],
            ..template()
        };
        let block = template.mine();
        let coinbase = block.transactions().next().unwrap();
        assert!(coinbase.is_coinbase());
        let outputs: Vec<_> = coinbase.outputs().collect();
        assert_eq!(outputs.len(), 1);
        assert_eq!(outputs[0].script, [0x6a, 0x51]);
        assert_eq!(outputs[0].value, 5_000_000_000);
    }
}
