//! The difficulty that a chain requires of its next header.
//!
//! Source: Bitcoin SV node 1.2.2, `src/pow.cpp`.

use super::ancestors::{MEDIAN_TIME_SPAN, RETARGET_INTERVAL};
use super::{Ancestors, ChainRuleError, ChainRules};
use crate::wire::proof_of_work::U256;
use crate::wire::{CompactTarget, Work};

/// The intended time between blocks, in seconds.
const TARGET_SPACING: u32 = 600;

/// The intended time between two retargets, in seconds.
const RETARGET_TIMESPAN: u32 = RETARGET_INTERVAL * TARGET_SPACING;

/// The median time over six blocks from which on the emergency adjustment applies, in seconds.
const EMERGENCY_SPAN: i64 = 12 * 60 * 60;

/// The number of blocks over which the emergency adjustment measures time.
const EMERGENCY_BLOCKS: u32 = 6;

/// The number of blocks over which the 144-block rule measures work and time.
const DAA_BLOCKS: u32 = 144;

/// The limits of the time that the 144-block rule measures, in seconds.
const DAA_TIMESPAN: (i64, i64) = (72 * 600, 288 * 600);

/// The lowest height with a difficulty other than the limit by the 144-block rule.
///
/// Only networks that start with this rule have such low heights. Source: Teranode,
/// `services/blockchain/Difficulty.go`.
const DAA_FIRST_HEIGHT: u32 = DAA_BLOCKS + 4;

impl ChainRules {
    /// Implements [`required_bits`](Self::required_bits).
    pub(super) fn next_bits(
        &self,
        ancestors: &impl Ancestors,
        time: u32,
    ) -> Result<CompactTarget, ChainRuleError> {
        let parent = ancestors.height();
        let view = View {
            ancestors,
            height: parent.saturating_add(1),
        };
        if !self.retargeting {
            return view.bits(parent);
        }
        if parent >= self.daa_height {
            return self.bits_by_144_blocks(&view, time);
        }
        self.bits_by_2016_blocks(&view, time)
    }

    fn bits_by_2016_blocks<A: Ancestors>(
        &self,
        view: &View<'_, A>,
        time: u32,
    ) -> Result<CompactTarget, ChainRuleError> {
        let (height, parent) = (view.height, view.height - 1);
        let bits = view.bits(parent)?;
        if height.is_multiple_of(RETARGET_INTERVAL) {
            let first = view.time(height - RETARGET_INTERVAL)?;
            let span = i64::from(view.time(parent)?) - i64::from(first);
            let timespan = i64::from(RETARGET_TIMESPAN);
            let span = span.clamp(timespan / 4, timespan * 4) as u32;
            let target = scale(decoded(bits), span, RETARGET_TIMESPAN);
            return Ok(self.limited(target));
        }
        let limit = self.proof_of_work_limit();
        if self.min_difficulty_blocks {
            return if self.is_late(view.time(parent)?, time) {
                Ok(limit)
            } else {
                view.last_regular_bits(limit)
            };
        }
        // The emergency adjustment looks at height - 7; a lower block has the limit anyway.
        let Some(before) = parent
            .checked_sub(EMERGENCY_BLOCKS)
            .filter(|_| bits != limit)
        else {
            return Ok(bits);
        };
        let span = i64::from(view.median_time(parent)?) - i64::from(view.median_time(before)?);
        if span < EMERGENCY_SPAN {
            return Ok(bits);
        }
        let target = decoded(bits);
        Ok(self.limited(target.saturating_add(target >> 2)))
    }

    fn bits_by_144_blocks<A: Ancestors>(
        &self,
        view: &View<'_, A>,
        time: u32,
    ) -> Result<CompactTarget, ChainRuleError> {
        let (height, parent) = (view.height, view.height - 1);
        let limit = self.proof_of_work_limit();
        if self.min_difficulty_blocks && self.is_late(view.time(parent)?, time) {
            return Ok(limit);
        }
        if height < DAA_FIRST_HEIGHT {
            return Ok(limit);
        }
        let last = view.suitable(parent)?;
        let first = view.suitable(parent - DAA_BLOCKS)?;
        let span = i64::from(view.time(last)?) - i64::from(view.time(first)?);
        let span = span.clamp(DAA_TIMESPAN.0, DAA_TIMESPAN.1) as u32;
        let work = view.work_between(first, last)?.to_u256();
        let work = work.wrapping_mul(U256::from(TARGET_SPACING)) / U256::from(span);
        // Limits so easy that 144 blocks count less than the divisor have no harder target.
        let target = match U256::ZERO.wrapping_sub(work).checked_div(work) {
            Some(target) => target,
            None => return Ok(limit),
        };
        Ok(self.limited(target))
    }

    /// Returns whether a block so long after its parent may have the minimum difficulty.
    fn is_late(&self, parent: u32, time: u32) -> bool {
        i64::from(time) > i64::from(parent) + 2 * i64::from(TARGET_SPACING)
    }

    fn limited(&self, target: U256) -> CompactTarget {
        CompactTarget::from_u256(target.min(self.limit_target))
    }
}

fn decoded(bits: CompactTarget) -> U256 {
    // Every header in a chain has passed the check of its proof of work.
    bits.to_u256().unwrap_or(U256::ZERO)
}

/// Returns `target * numerator / denominator`; the product may need more than 256 bits.
fn scale(target: U256, numerator: u32, denominator: u32) -> U256 {
    type U320 = ruint::Uint<320, 5>;
    let product = U320::from(target) * U320::from(numerator);
    let quotient = product / U320::from(denominator);
    U256::saturating_from(quotient)
}

/// Ancestors of the header at `height`, with errors that name it.
struct View<'a, A> {
    ancestors: &'a A,
    height: u32,
}

impl<A: Ancestors> View<'_, A> {
    fn time(&self, height: u32) -> Result<u32, ChainRuleError> {
        self.known(self.ancestors.time(height), height)
    }

    fn bits(&self, height: u32) -> Result<CompactTarget, ChainRuleError> {
        self.known(self.ancestors.bits(height), height)
    }

    fn median_time(&self, height: u32) -> Result<u32, ChainRuleError> {
        let first = height.saturating_sub(MEDIAN_TIME_SPAN - 1);
        self.known(self.ancestors.median_time(height), first)
    }

    fn last_regular_bits(&self, limit: CompactTarget) -> Result<CompactTarget, ChainRuleError> {
        let parent = self.height - 1;
        let period = parent - parent % RETARGET_INTERVAL;
        self.known(self.ancestors.last_regular_bits(limit), period)
    }

    fn work_between(&self, after: u32, up_to: u32) -> Result<Work, ChainRuleError> {
        self.known(self.ancestors.work_between(after, up_to), after + 1)
    }

    /// Returns the height of the block with the median time of the three that end with `height`,
    /// chosen by the node's sorting network.
    fn suitable(&self, height: u32) -> Result<u32, ChainRuleError> {
        let mut blocks = [height - 2, height - 1, height];
        let mut times = [0; 3];
        for (time, block) in times.iter_mut().zip(blocks) {
            *time = self.time(block)?;
        }
        for (low, high) in [(0, 2), (0, 1), (1, 2)] {
            if times[low] > times[high] {
                times.swap(low, high);
                blocks.swap(low, high);
            }
        }
        Ok(blocks[1])
    }

    fn known<T>(&self, value: Option<T>, needed: u32) -> Result<T, ChainRuleError> {
        let height = self.height;
        value.ok_or(ChainRuleError::MissingAncestor { height, needed })
    }
}
