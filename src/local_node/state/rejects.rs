//! The answers to invalid blocks and transactions: code, text and score of the node.
//!
//! Source: Bitcoin SV node 1.2.2, `src/validation.cpp`.

use std::borrow::Cow;

use log::Level;

use super::NodeState;
use crate::local_node::BlockRejectReason;
use crate::peers::PeerId;
use crate::session::Misbehavior;
use crate::wire::{BlockError, ChainRuleError, Hash256, InvalidTransaction, Reject, RejectCode};

/// How an invalid object is rejected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ObjectRejection {
    code: RejectCode,
    reason: Cow<'static, str>,
    score: u32,
}

impl ObjectRejection {
    /// Returns the rejection of a block. `None` if the block may be accepted later.
    pub(super) fn of_block(refused: &BlockRejectReason) -> Option<Self> {
        Some(match refused {
            BlockRejectReason::Header(rule) => return Self::of_header(rule),
            BlockRejectReason::UnknownParent(_) | BlockRejectReason::ChainFull { .. } => {
                return None;
            }
            BlockRejectReason::Content(BlockError::MerkleRootMismatch { .. }) => {
                Self::invalid("bad-txnmrklroot", 100)
            }
            BlockRejectReason::Content(BlockError::DuplicatedTransactions(_)) => {
                Self::invalid("bad-txns-duplicate", 100)
            }
            BlockRejectReason::NoTransactions | BlockRejectReason::MissingCoinbase(_) => {
                Self::invalid("bad-cb-missing", 100)
            }
            BlockRejectReason::CoinbaseScript { .. } => Self::invalid("bad-cb-length", 100),
            BlockRejectReason::MultipleCoinbases { .. } => Self::invalid("bad-tx-coinbase", 100),
        })
    }

    fn of_header(rule: &ChainRuleError) -> Option<Self> {
        let (code, reason) = match rule {
            ChainRuleError::ProofOfWork { .. } => (RejectCode::INVALID, "high-hash".into()),
            ChainRuleError::BitsMismatch { .. } => (RejectCode::INVALID, "bad-diffbits".into()),
            ChainRuleError::TimeTooOld { .. } => (RejectCode::INVALID, "time-too-old".into()),
            ChainRuleError::TimeTooNew { .. } => (RejectCode::INVALID, "time-too-new".into()),
            ChainRuleError::VersionTooLow { got, .. } => {
                let reason = format!("bad-version(0x{got:08x})");
                (RejectCode::OBSOLETE, reason.into())
            }
            ChainRuleError::CheckpointMismatch { .. } => {
                (RejectCode::CHECKPOINT, "checkpoint mismatch".into())
            }
            ChainRuleError::ForkBelowCheckpoint { .. } => (
                RejectCode::CHECKPOINT,
                "bad-fork-prior-to-checkpoint".into(),
            ),
            // The rule could not be checked.
            ChainRuleError::MissingAncestor { .. } => return None,
        };
        Some(Self {
            code,
            reason,
            score: rule.score(),
        })
    }

    /// Returns the rejection of a transaction.
    pub(super) fn of_transaction(invalid: &InvalidTransaction) -> Self {
        match invalid {
            InvalidTransaction::NoInputs => Self::invalid("bad-txns-vin-empty", 10),
            InvalidTransaction::NoOutputs => Self::invalid("bad-txns-vout-empty", 10),
            InvalidTransaction::InvalidValue { got, .. } if *got < 0 => {
                Self::invalid("bad-txns-vout-negative", 100)
            }
            InvalidTransaction::InvalidValue { .. } => Self::invalid("bad-txns-vout-toolarge", 100),
            InvalidTransaction::InvalidTotal { .. } => {
                Self::invalid("bad-txns-txouttotal-toolarge", 100)
            }
            InvalidTransaction::Coinbase => Self::invalid("bad-tx-coinbase", 100),
            InvalidTransaction::NullInput { .. } => Self::invalid("bad-txns-prevout-null", 10),
        }
    }

    fn invalid(reason: &'static str, score: u32) -> Self {
        Self {
            code: RejectCode::INVALID,
            reason: reason.into(),
            score,
        }
    }
}

impl NodeState {
    /// Sends a `reject` of a `tx` or `block`, and adds to the score of the peer.
    ///
    /// Teranode gives one reason for each kind of object, and no score.
    pub(super) fn reject(
        &mut self,
        from: PeerId,
        command: &'static str,
        hash: [u8; 32],
        rejection: &ObjectRejection,
    ) {
        let is_teranode = self.is_teranode();
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let own = &rejection.reason;
        let (code, reason) = match command {
            _ if !is_teranode => (rejection.code, &own[..]),
            "block" => (RejectCode::INVALID, "block rejected"),
            _ => (RejectCode::INVALID, "rejected"),
        };
        let reject = Reject {
            hash: Some(Hash256(hash)),
            ..Reject::new(command, code, reason)
        };
        let record = peer.log(Level::Debug).reason(own);
        record.write(format_args!("{command} {} rejected", Hash256(hash)));
        peer.send(&reject.clone().into());
        if !is_teranode && rejection.score > 0 {
            peer.misbehaved(Misbehavior::RejectedObject {
                reject: Box::new(reject),
                score: rejection.score,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BlockHash, CompactTarget, MerkleRoot, ProofOfWorkError, Txid};

    #[test]
    fn blocks_are_rejected_as_by_the_node() {
        let height = 7;
        let rule = |rule: ChainRuleError| BlockRejectReason::Header(rule);
        for (refused, code, reason, score) in [
            (
                BlockRejectReason::NoTransactions,
                0x10,
                "bad-cb-missing",
                100,
            ),
            (
                BlockRejectReason::MissingCoinbase(Txid::ZERO),
                0x10,
                "bad-cb-missing",
                100,
            ),
            (
                BlockRejectReason::CoinbaseScript { got: 1 },
                0x10,
                "bad-cb-length",
                100,
            ),
            (
                BlockRejectReason::MultipleCoinbases { index: 1 },
                0x10,
                "bad-tx-coinbase",
                100,
            ),
            (
                BlockRejectReason::Content(BlockError::DuplicatedTransactions(MerkleRoot::ZERO)),
                0x10,
                "bad-txns-duplicate",
                100,
            ),
            (
                BlockRejectReason::Content(BlockError::MerkleRootMismatch {
                    expected: MerkleRoot::ZERO,
                    got: MerkleRoot([1; 32]),
                }),
                0x10,
                "bad-txnmrklroot",
                100,
            ),
            (
                rule(ChainRuleError::ProofOfWork {
                    height,
                    error: ProofOfWorkError::InvalidTarget(CompactTarget(0)),
                }),
                0x10,
                "high-hash",
                50,
            ),
            (
                rule(ChainRuleError::BitsMismatch {
                    height,
                    expected: CompactTarget(1),
                    got: CompactTarget(2),
                }),
                0x10,
                "bad-diffbits",
                100,
            ),
            (
                rule(ChainRuleError::TimeTooOld {
                    height,
                    median: 5,
                    got: 4,
                }),
                0x10,
                "time-too-old",
                0,
            ),
            (
                rule(ChainRuleError::TimeTooNew {
                    height,
                    latest: 4,
                    got: 5,
                }),
                0x10,
                "time-too-new",
                0,
            ),
            (
                rule(ChainRuleError::VersionTooLow {
                    height,
                    minimum: 4,
                    got: 3,
                }),
                0x11,
                "bad-version(0x00000003)",
                0,
            ),
            (
                rule(ChainRuleError::CheckpointMismatch {
                    height,
                    expected: BlockHash::ZERO,
                    got: BlockHash::ZERO,
                }),
                0x43,
                "checkpoint mismatch",
                100,
            ),
            (
                rule(ChainRuleError::ForkBelowCheckpoint {
                    height,
                    checkpoint: 9,
                }),
                0x43,
                "bad-fork-prior-to-checkpoint",
                100,
            ),
        ] {
            let expected = ObjectRejection {
                code: RejectCode(code),
                reason: reason.into(),
                score,
            };
            assert_eq!(
                ObjectRejection::of_block(&refused),
                Some(expected),
                "{refused}"
            );
        }
        for later in [
            BlockRejectReason::UnknownParent(BlockHash::ZERO),
            BlockRejectReason::ChainFull {
                needed: 2,
                available: 1,
            },
            rule(ChainRuleError::MissingAncestor { height, needed: 1 }),
        ] {
            assert_eq!(ObjectRejection::of_block(&later), None, "{later}");
        }
    }

    #[test]
    fn transactions_are_rejected_as_by_the_node() {
        let index = 0;
        for (invalid, reason, score) in [
            (InvalidTransaction::NoInputs, "bad-txns-vin-empty", 10),
            (InvalidTransaction::NoOutputs, "bad-txns-vout-empty", 10),
            (
                InvalidTransaction::InvalidValue { index, got: -1 },
                "bad-txns-vout-negative",
                100,
            ),
            (
                InvalidTransaction::InvalidValue {
                    index,
                    got: i64::MAX,
                },
                "bad-txns-vout-toolarge",
                100,
            ),
            (
                InvalidTransaction::InvalidTotal {
                    index,
                    got: i64::MAX,
                },
                "bad-txns-txouttotal-toolarge",
                100,
            ),
            (InvalidTransaction::Coinbase, "bad-tx-coinbase", 100),
            (
                InvalidTransaction::NullInput { index: 1 },
                "bad-txns-prevout-null",
                10,
            ),
        ] {
            let expected = ObjectRejection::invalid(reason, score);
            assert_eq!(
                ObjectRejection::of_transaction(&invalid),
                expected,
                "{invalid}"
            );
        }
    }
}
