//! A second implementation of the header rules, slow and by other means. Both must agree on random
//! chains.

mod big;

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Ancestors, BlockHash, BlockHeader, ChainRuleError, ChainRules, CompactTarget, MerkleRoot, Work,
};
use proptest::prelude::*;
use proptest::sample::select;

use self::big::Big;

/// The parameters of a network.
#[derive(Clone, Debug)]
struct Parameters {
    limit: u32,
    daa_height: u32,
    min_difficulty: bool,
    retargeting: bool,
    /// The target of the first header.
    first: u32,
}

impl Parameters {
    fn rules(&self) -> ChainRules {
        let rules = ChainRules::new(Network::Mainnet)
            .with_proof_of_work_limit(CompactTarget(self.limit))
            .with_daa_height(self.daa_height)
            .with_min_difficulty_blocks(self.min_difficulty)
            .with_retargeting(self.retargeting);
        rules.with_checkpoints([]).unwrap()
    }
}

/// A chain from height 0 as plain lists.
#[derive(Default)]
struct Reference {
    times: Vec<i64>,
    bits: Vec<u32>,
    /// The work of the headers up to each height.
    chain_work: Vec<Big>,
}

impl Reference {
    fn push(&mut self, time: u32, bits: u32) {
        let mut work = Big::power_of_two(256).div(&Big::from_compact(bits).add(&Big::from(1)));
        if let Some(before) = self.chain_work.last() {
            work = work.add(before);
        }
        self.times.push(time.into());
        self.bits.push(bits);
        self.chain_work.push(work);
    }

    /// Returns the median time of the headers that end with `height`.
    fn median(&self, height: usize) -> i64 {
        let mut times = self.times[..=height].to_vec();
        let mut times = times.split_off(times.len().saturating_sub(11));
        times.sort();
        times[times.len() / 2]
    }

    /// Returns the target required of the next header.
    fn required(&self, network: &Parameters, time: u32) -> u32 {
        let height = self.bits.len();
        let parent = height - 1;
        let limit = Big::from_compact(network.limit);
        let limited = |target: Big| target.min(limit.clone()).to_compact();
        let is_late = i64::from(time) - self.times[parent] > 1_200;
        if !network.retargeting {
            return self.bits[parent];
        }
        if parent >= network.daa_height as usize {
            if network.min_difficulty && is_late || height < 148 {
                return network.limit;
            }
            let (first, last) = (self.suitable(parent - 144), self.suitable(parent));
            let span = (self.times[last] - self.times[first]).clamp(43_200, 172_800);
            let work = self.chain_work[last].sub(&self.chain_work[first]);
            let work = work.mul_u32(600).div(&Big::from(span as u32));
            if work == Big::from(0) {
                return network.limit;
            }
            return limited(Big::power_of_two(256).div(&work).sub(&Big::from(1)));
        }
        let target = Big::from_compact(self.bits[parent]);
        if height.is_multiple_of(2_016) {
            let span = self.times[parent] - self.times[height - 2_016];
            let span = span.clamp(302_400, 4_838_400);
            return limited(target.mul_u32(span as u32).div(&Big::from(1_209_600)));
        }
        if network.min_difficulty {
            if is_late {
                return network.limit;
            }
            let period = &self.bits[parent - parent % 2_016..];
            let regular = period.iter().rfind(|bits| **bits != network.limit);
            return *regular.unwrap_or(&period[0]);
        }
        if self.bits[parent] == network.limit || height < 7 {
            return self.bits[parent];
        }
        if self.median(height - 1) - self.median(height - 7) < 43_200 {
            return self.bits[parent];
        }
        limited(target.add(&target.div(&Big::from(4))))
    }

    /// Returns the height of the block with the median time of the three that end with `height`.
    ///
    /// The cases of the node's sorting network: equal times are resolved by it, not by position.
    fn suitable(&self, height: usize) -> usize {
        let [a, b, c] = [height - 2, height - 1, height].map(|height| self.times[height]);
        let chosen = match (a > c, a > b, b > c, c > b, b > a) {
            (false, true, ..) => 0,
            (false, _, true, ..) => 2,
            (true, .., true, _) => 2,
            (true, .., true) => 0,
            _ => 1,
        };
        height - 2 + chosen
    }

    /// Checks target and times of a header.
    fn check(&self, header: &BlockHeader, expected: u32, now: u32) -> Result<(), ChainRuleError> {
        let height = self.bits.len() as u32;
        if header.bits.0 != expected {
            return Err(ChainRuleError::BitsMismatch {
                height,
                expected: CompactTarget(expected),
                got: header.bits,
            });
        }
        let median = self.median(height as usize - 1);
        if i64::from(header.time) <= median {
            return Err(ChainRuleError::TimeTooOld {
                height,
                median: median as u32,
                got: header.time,
            });
        }
        if i64::from(header.time) > i64::from(now) + 7_200 {
            return Err(ChainRuleError::TimeTooNew {
                height,
                latest: now + 7_200,
                got: header.time,
            });
        }
        Ok(())
    }
}

/// The chain as the rules see it, with sums of work instead of a sum for each header.
#[derive(Default)]
struct View {
    headers: Vec<(u32, CompactTarget)>,
    work: Vec<Work>,
}

impl View {
    fn push(&mut self, time: u32, bits: CompactTarget) {
        let before = self.work.last().copied().unwrap_or_default();
        self.headers.push((time, bits));
        self.work.push(before.saturating_add(bits.work()));
    }
}

impl Ancestors for View {
    fn height(&self) -> u32 {
        self.headers.len() as u32 - 1
    }

    fn time(&self, height: u32) -> Option<u32> {
        Some(self.headers.get(height as usize)?.0)
    }

    fn bits(&self, height: u32) -> Option<CompactTarget> {
        Some(self.headers.get(height as usize)?.1)
    }

    fn work_between(&self, after: u32, up_to: u32) -> Option<Work> {
        let up_to = *self.work.get(up_to as usize)?;
        Some(up_to.saturating_sub(self.work[after as usize]))
    }
}

/// One step of a random chain.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// The time since the parent, in seconds.
    delta: i32,
    /// Changes of a second header at this height, which need not be valid.
    other_delta: i32,
    other_bits: u32,
    clock: i32,
}

/// Returns the times between blocks of one part of a chain: alternating, steady, fast and slow
/// ones.
fn deltas() -> impl Strategy<Value = std::ops::Range<i32>> {
    select(vec![
        -7_200..7_200,
        0..2,
        0..1_000,
        500..700,
        1_199..1_203,
        1_000..3_000,
        7_000..7_500,
        -5_000..40_000,
    ])
}

fn steps(parts: usize, len: usize) -> impl Strategy<Value = Vec<Step>> {
    let part = deltas().prop_flat_map(move |deltas| {
        let bits = prop_oneof![8 => Just(0), 1 => 1_u32..3, 1 => any::<u32>()];
        let step = (deltas, -20_000..20_000, bits, -8_000..8_000);
        proptest::collection::vec(step, len)
    });
    proptest::collection::vec(part, parts).prop_map(|parts| {
        let steps = parts.into_iter().flatten();
        let step = |(delta, other_delta, other_bits, clock)| Step {
            delta,
            other_delta,
            other_bits,
            clock,
        };
        steps.map(step).collect()
    })
}

fn parameters(daa_heights: Vec<u32>) -> impl Strategy<Value = Parameters> {
    let limits = vec![
        0x1d00_ffff,
        0x1c7f_ffff,
        0x1e00_8000,
        0x207f_ffff,
        0x2100_ffff,
    ];
    (
        select(limits),
        select(daa_heights),
        any::<bool>(),
        prop::bool::weighted(0.95),
        0..4_u32,
    )
        .prop_map(|(limit, daa_height, min_difficulty, retargeting, harder)| {
            // The same mantissa with a lower exponent, or the limit itself.
            let first = limit - (harder << 24);
            Parameters {
                limit,
                daa_height,
                min_difficulty,
                retargeting,
                first,
            }
        })
}

/// Asserts that both implementations agree on each header of a chain, and on invalid ones.
fn assert_agreement(network: &Parameters, steps: &[Step]) -> Result<(), TestCaseError> {
    let rules = network.rules();
    let (mut reference, mut view) = (Reference::default(), View::default());
    let mut time = 1_300_000_000;
    reference.push(time, network.first);
    view.push(time, CompactTarget(network.first));
    for step in steps {
        let height = reference.bits.len();
        let now = time.saturating_add_signed(step.clock);
        let other_time = time.saturating_add_signed(step.other_delta);
        let required = reference.required(network, other_time);
        let other = BlockHeader {
            version: 4,
            previous: BlockHash::ZERO,
            merkle_root: MerkleRoot::ZERO,
            time: other_time,
            bits: CompactTarget(required ^ step.other_bits),
            nonce: 0,
        };
        let expected = reference.check(&other, required, now);
        let checked = rules.check_header(&view, &other, BlockHash::ZERO, now);
        prop_assert_eq!(checked, expected, "height {}", height);

        let earliest = reference.median(height - 1) as u32 + 1;
        time = time.saturating_add_signed(step.delta).max(earliest);
        let required = reference.required(network, time);
        let got = rules.required_bits(&view, time);
        prop_assert_eq!(got, Ok(CompactTarget(required)), "height {}", height);
        reference.push(time, required);
        view.push(time, CompactTarget(required));
    }
    Ok(())
}

/// Returns the number of cases, without files for those that fail: the values are printed.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        // Shrinking a chain of thousands of headers takes minutes and adds nothing.
        max_shrink_iters: 64,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn short_chains_agree_with_the_reference(
        network in parameters(vec![0, 0, 1, 100, 150, 200, 300, u32::MAX]),
        steps in steps(8, 60),
    ) {
        assert_agreement(&network, &steps)?;
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn long_chains_agree_with_the_reference(
        network in parameters(vec![2_015, 2_016, 2_300, 4_031, u32::MAX]),
        steps in steps(15, 273),
    ) {
        assert_agreement(&network, &steps)?;
    }
}

#[test]
fn reference_knows_the_first_retarget_of_mainnet() {
    let network = Parameters {
        limit: 0x1d00_ffff,
        daa_height: 504_031,
        min_difficulty: false,
        retargeting: true,
        first: 0x1d00_ffff,
    };
    // Heights 30,240 and 32,255, and the first target above the minimum difficulty at 32,256.
    let mut chain = Reference::default();
    for height in 0..2_016 {
        let time = match height {
            0 => 1_261_130_161,
            _ => 1_262_152_739,
        };
        chain.push(time, network.first);
    }
    assert_eq!(chain.required(&network, 0), 0x1d00_d86a);
}
