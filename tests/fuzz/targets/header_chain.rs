//! A chain of regtest headers that several sources extend, compared with a naive model.
//!
//! Input: a byte of settings (see [`run`]), then steps of 6 bytes each: flaw, parent, number of
//! headers and source, tag, time, position of the flaw. See [`Step`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bsv_p2p::Network;
use bsv_p2p::wire::{
    BlockHash, BlockHeader, ChainRuleError, ChainRules, ChainTip, CompactTarget, ExtendOutcome,
    HeaderBatch, HeaderChain, HeaderChainError, MerkleRoot, SourceId, Work,
};

use super::input::Input;

/// The target of regtest.
const EASY: CompactTarget = CompactTarget(0x207f_ffff);
/// The clock of the chain: close enough to genesis that headers can be too new.
const NOW: u32 = 1_296_700_000;
const MAX_STEPS: usize = 60;

/// Runs the steps of an input.
///
/// Settings: bits 0 and 1 choose the capacity of side chains (none, 3, 20 headers, default), bit 2
/// a checkpoint at height 3.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let settings = input.u8();
    let mut rules = ChainRules::new(Network::Regtest);
    let mut checkpoint = None;
    if settings & 4 != 0 {
        let mut parent = rules.genesis();
        for _ in 0..3 {
            parent = solve(header_on(&parent, 0, parent.time + 1));
        }
        checkpoint = Some((3, parent.hash()));
        rules = rules.with_checkpoints(checkpoint).expect("one checkpoint");
    }
    let capacity = [Some(0), Some(3), Some(20), None][usize::from(settings & 3)];
    let mut chain = HeaderChain::new(rules);
    if let Some(capacity) = capacity {
        chain = chain.with_side_capacity(capacity);
    }
    let mut model = Model::new(chain.rules().genesis(), checkpoint, capacity);
    for _ in 0..MAX_STEPS {
        if input.0.is_empty() {
            break;
        }
        let step = Step::read(&mut input);
        let headers = model.headers(&step);
        model.extend(&mut chain, step.source, &headers);
        model.check_tips(&chain);
    }
    model.check_lookups(&chain);
}

/// Headers to add.
struct Step {
    /// The flaw of the list, if any.
    flaw: u8,
    /// How far the parent is from the latest header.
    parent: u8,
    count: usize,
    source: SourceId,
    /// Headers with equal tag, parent and time are equal.
    tag: u8,
    time: u8,
    /// The position of the flaw in the list.
    flaw_at: usize,
}

impl Step {
    fn read(input: &mut Input<'_>) -> Self {
        let [flaw, parent, numbers, tag, time, flaw_at] = [(); 6].map(|()| input.u8());
        let count = usize::from(numbers & 15) + 1;
        Self {
            flaw,
            parent,
            count,
            source: SourceId(u64::from(numbers >> 4)),
            tag,
            time,
            flaw_at: usize::from(flaw_at) % count,
        }
    }
}

fn header_on(parent: &BlockHeader, tag: u8, time: u32) -> BlockHeader {
    BlockHeader {
        version: 0x2000_0000,
        previous: parent.hash(),
        merkle_root: MerkleRoot([tag; 32]),
        time,
        bits: EASY,
        nonce: 0,
    }
}

fn solve(mut header: BlockHeader) -> BlockHeader {
    while header.bits.check(header.hash(), header.bits).is_err() {
        header.nonce += 1;
    }
    header
}

/// A header that was valid when the chain received it. The chain may have evicted it.
struct Known {
    header: BlockHeader,
    hash: BlockHash,
    height: u32,
}

/// The effect that headers must have.
#[derive(Debug, PartialEq)]
enum Judgment {
    Valid,
    NotLinked,
    UnknownParent,
    /// The position of the header and the violated rule.
    Invalid(usize, Rule),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    ProofOfWork,
    Bits,
    TimeTooOld,
    TimeTooNew,
    Checkpoint,
    Fork,
}

/// All valid headers, without any index but that of their hashes.
struct Model {
    known: Vec<Known>,
    places: HashMap<BlockHash, usize>,
    /// The source of each header that is or was on a side chain.
    sources: HashMap<BlockHash, SourceId>,
    checkpoint: Option<(u32, BlockHash)>,
    capacity: Option<usize>,
}

impl Model {
    fn new(
        genesis: BlockHeader,
        checkpoint: Option<(u32, BlockHash)>,
        capacity: Option<usize>,
    ) -> Self {
        let mut model = Self {
            known: Vec::new(),
            places: HashMap::new(),
            sources: HashMap::new(),
            checkpoint,
            capacity,
        };
        model.add(genesis, 0);
        model
    }

    fn add(&mut self, header: BlockHeader, height: u32) {
        let hash = header.hash();
        if let Entry::Vacant(place) = self.places.entry(hash) {
            place.insert(self.known.len());
            self.known.push(Known {
                header,
                hash,
                height,
            });
        }
    }

    fn get(&self, hash: &BlockHash) -> &Known {
        &self.known[self.places[hash]]
    }

    /// Makes the headers of a step.
    fn headers(&self, step: &Step) -> Vec<BlockHeader> {
        let back = usize::from(step.parent) % self.known.len();
        let mut parent = self.known[self.known.len() - 1 - back].header;
        let mut times = self.times(&parent.hash());
        let mut headers = Vec::new();
        if step.flaw % 16 == 6 {
            // Known headers at the start of the list.
            let before = self.branch(&parent.hash()).take(step.flaw_at);
            headers.extend(before.map(|known| known.header));
            headers.reverse();
        }
        for position in 0..step.count {
            let spacing = i64::from(step.time) - 20;
            let after_parent = (i64::from(parent.time) + spacing) as u32;
            let time = after_parent.max(median(&times) + 1);
            let mut header = header_on(&parent, step.tag, time);
            let is_flawed = position == step.flaw_at;
            match step.flaw % 16 {
                1 if is_flawed => header.bits = CompactTarget(0x2070_0000),
                2 if is_flawed => header.time = median(&times),
                3 if is_flawed => header.time = NOW + 7_200 + u32::from(step.time & 1),
                4 if is_flawed => header.previous.0[5] ^= 1,
                _ => {}
            }
            header = solve(header);
            if step.flaw % 16 == 5 && is_flawed {
                while EASY.check(header.hash(), EASY).is_ok() {
                    header.nonce += 1;
                }
            }
            headers.push(header);
            parent = header;
            times.push(header.time);
        }
        headers
    }

    /// Iterates over a known header and its ancestors, downward.
    fn branch(&self, hash: &BlockHash) -> impl Iterator<Item = &Known> + use<'_> {
        let next = |known: &&Known| self.places.get(&known.header.previous);
        std::iter::successors(Some(self.get(hash)), move |known| {
            next(known).map(|place| &self.known[*place])
        })
    }

    /// Returns the times of a branch, upward.
    fn times(&self, tip: &BlockHash) -> Vec<u32> {
        let mut times: Vec<u32> = self.branch(tip).map(|known| known.header.time).collect();
        times.reverse();
        times
    }

    fn judge(&self, chain: &HeaderChain, headers: &[BlockHeader]) -> Judgment {
        for pair in headers.windows(2) {
            if pair[1].previous != pair[0].hash() {
                return Judgment::NotLinked;
            }
        }
        let no_work = headers
            .iter()
            .position(|header| EASY.check(header.hash(), EASY).is_err());
        let is_known = |header: &&BlockHeader| chain.contains(&header.hash());
        let skipped = headers.iter().take_while(is_known).count();
        let new = skipped..no_work.unwrap_or(headers.len());
        if !new.is_empty() {
            let first = headers[skipped];
            if !chain.contains(&first.previous) {
                return Judgment::UnknownParent;
            }
            let mut height = self.get(&first.previous).height;
            let mut times = self.times(&first.previous);
            if let Some((checkpoint, hash)) = self.checkpoint
                && chain.is_active(&hash)
                && height < checkpoint
            {
                return Judgment::Invalid(skipped, Rule::Fork);
            }
            for position in new {
                height += 1;
                let header = &headers[position];
                if let Some(rule) = self.violated(header, height, &times) {
                    return Judgment::Invalid(position, rule);
                }
                times.push(header.time);
            }
        }
        no_work.map_or(Judgment::Valid, |position| {
            Judgment::Invalid(position, Rule::ProofOfWork)
        })
    }

    fn violated(&self, header: &BlockHeader, height: u32, times: &[u32]) -> Option<Rule> {
        if let Some((at, hash)) = self.checkpoint
            && at == height
            && hash != header.hash()
        {
            return Some(Rule::Checkpoint);
        }
        if header.bits != EASY {
            return Some(Rule::Bits);
        }
        if header.time <= median(times) {
            return Some(Rule::TimeTooOld);
        }
        (header.time > NOW + 7_200).then_some(Rule::TimeTooNew)
    }

    /// Adds headers to the chain and checks the effect.
    fn extend(&mut self, chain: &mut HeaderChain, source: SourceId, headers: &[BlockHeader]) {
        let expected = self.judge(chain, headers);
        let is_new = |header: &BlockHeader| !chain.contains(&header.hash());
        let new = headers.iter().filter(|header| is_new(header)).count();
        let before = chain.tip();
        let work_before = chain.total_work();
        let work = self.work_after(headers);
        let side_before = self.side_headers(chain);
        let result = if source == SourceId::LOCAL {
            chain.extend(headers, NOW)
        } else {
            match HeaderBatch::verify(chain.rules(), headers) {
                Ok(batch) => chain.extend_from(source, &batch, NOW),
                // The batch is verified without the chain: earlier headers are not judged.
                Err(_) => return assert_ne!(expected, Judgment::Valid),
            }
        };
        let outcome = match result {
            Err(HeaderChainError::SideChainLimit { needed, available }) => {
                assert_eq!(expected, Judgment::Valid);
                assert!(needed == new && available < needed);
                assert!(self.capacity.is_some(), "the default capacity is too small");
                assert!(work <= work_before);
                assert_eq!(chain.tip(), before);
                self.check_rejection(chain, source, headers, new);
                return;
            }
            Err(error) => {
                assert_eq!(judgment_of(&error), expected, "{error}");
                assert_eq!(chain.tip(), before);
                return;
            }
            Ok(outcome) => outcome,
        };
        assert_eq!(expected, Judgment::Valid);
        for header in headers {
            if let Some(parent) = self.places.get(&header.previous) {
                let height = self.known[*parent].height + 1;
                self.add(*header, height);
            }
        }
        match outcome {
            ExtendOutcome::Known => assert_eq!(new, 0),
            ExtendOutcome::SideChain { headers } => {
                assert!(headers == new && work <= work_before);
                assert_eq!(chain.tip(), before);
                self.check_evictions(chain, source, &side_before, work);
                for hash in self.side_headers(chain) {
                    if !side_before.contains(&hash) {
                        self.sources.insert(hash, source);
                    }
                }
            }
            ExtendOutcome::NewTip {
                disconnected,
                connected,
            } => {
                assert!(work > work_before && new > 0);
                self.check_new_tip(chain, before.1, &disconnected, &connected);
                let local = disconnected.iter().map(|hash| (*hash, SourceId::LOCAL));
                self.sources.extend(local);
            }
        }
    }

    /// Returns the headers that the chain has on side chains.
    fn side_headers(&self, chain: &HeaderChain) -> Vec<BlockHash> {
        let hashes = self.known.iter().map(|known| known.hash);
        hashes
            .filter(|hash| chain.contains(hash) && !chain.is_active(hash))
            .collect()
    }

    /// Checks that headers were rejected only because nothing could be evicted for them.
    fn check_rejection(
        &self,
        chain: &HeaderChain,
        source: SourceId,
        headers: &[BlockHeader],
        needed: usize,
    ) {
        let mut counts: HashMap<SourceId, usize> = HashMap::new();
        counts.insert(source, 0);
        for hash in self.side_headers(chain) {
            *counts.entry(self.sources[&hash]).or_default() += 1;
        }
        let share = self.capacity.unwrap_or(0) / counts.len();
        let is_guaranteed = counts[&source] + needed <= share;
        let work = self.work_after(headers);
        let is_known = |header: &&BlockHeader| chain.contains(&header.hash());
        let parent = headers.iter().find(|header| !is_known(header));
        let parent = parent.map(|header| header.previous);
        // The branch that the headers extend is never evicted for them.
        let is_other = |tip: &&ChainTip| !tip.is_active && Some(tip.hash) != parent;
        for tip in chain.tips().iter().filter(is_other) {
            assert!(!is_guaranteed, "rejected within the share");
            let owner = self.sources[&tip.hash];
            if counts[&owner] > share || owner == source {
                assert!(tip.work >= work, "a tip with less work was kept");
            }
        }
    }

    /// Checks that a source evicts only headers with less work of its own.
    fn check_evictions(
        &self,
        chain: &HeaderChain,
        source: SourceId,
        before: &[BlockHash],
        work: Work,
    ) {
        // A source within its share evicts headers of others with any work.
        let is_alone = before.iter().all(|hash| self.sources[hash] == source);
        for hash in before.iter().filter(|hash| !chain.contains(hash)) {
            let evicted = Work::from_u128(2 * (u128::from(self.get(hash).height) + 1));
            assert!(
                !is_alone || evicted < work,
                "a tip with more work was evicted"
            );
        }
    }

    /// Returns the work of the branch that ends with the last header of a valid list.
    fn work_after(&self, headers: &[BlockHeader]) -> Work {
        let Some(first) = headers.first() else {
            return Work::ZERO;
        };
        let parent = self.places.get(&first.previous);
        let below = parent.map_or(0, |place| self.known[*place].height + 1);
        // Each header of regtest counts 2.
        Work::from_u128(2 * (u128::from(below) + headers.len() as u128))
    }

    fn check_new_tip(
        &self,
        chain: &HeaderChain,
        old: BlockHash,
        disconnected: &[BlockHash],
        connected: &[BlockHash],
    ) {
        let (height, tip) = chain.tip();
        let fork = self.fork(&old, &tip);
        let down_to = |hash: &BlockHash| -> Vec<BlockHash> {
            let branch = self.branch(hash).map(|known| known.hash);
            branch.take_while(|hash| *hash != fork).collect()
        };
        assert_eq!(disconnected, down_to(&old));
        let mut expected = down_to(&tip);
        expected.reverse();
        assert_eq!(connected, expected);
        assert_eq!(height, self.get(&tip).height);
    }

    fn fork(&self, one: &BlockHash, other: &BlockHash) -> BlockHash {
        let others: Vec<BlockHash> = self.branch(other).map(|known| known.hash).collect();
        let mut shared = self
            .branch(one)
            .filter(|known| others.contains(&known.hash));
        shared.next().expect("all branches start at genesis").hash
    }

    /// Compares the tips with those of the headers that the chain contains.
    fn check_tips(&self, chain: &HeaderChain) {
        let contained = self
            .known
            .iter()
            .filter(|known| chain.contains(&known.hash));
        let contained: Vec<&Known> = contained.collect();
        let side = contained
            .iter()
            .filter(|known| !chain.is_active(&known.hash));
        let side_headers = side.count();
        assert!(
            self.capacity
                .is_none_or(|capacity| side_headers <= capacity)
        );
        assert_eq!(contained.len() - side_headers, chain.tip().0 as usize + 1);
        if self.capacity.is_none() && self.checkpoint.is_none() {
            assert_eq!(contained.len(), self.known.len());
        }
        let parents: Vec<BlockHash> = contained.iter().map(|one| one.header.previous).collect();
        let is_leaf = |known: &&&Known| !parents.contains(&known.hash);
        let leaves: Vec<&&Known> = contained.iter().filter(is_leaf).collect();
        let tips = chain.tips();
        // The active tip is a leaf: a branch on top of it has more work.
        assert_eq!(tips.len(), leaves.len());
        assert!(tips[0].is_active && tips[0].hash == chain.tip().1);
        for tip in &tips {
            assert!(leaves.iter().any(|leaf| leaf.hash == tip.hash));
            let known = self.get(&tip.hash);
            let fork = self.get(&self.fork(&tip.hash, &chain.tip().1)).height;
            let branch = (known.height, known.height - fork);
            assert_eq!((tip.height, tip.branch_len), branch);
            assert_eq!(tip.is_active, tip.branch_len == 0);
            assert!(tip.work <= chain.total_work());
        }
    }

    /// Compares what the chain returns for each header, and builds it anew from its headers.
    fn check_lookups(&self, chain: &HeaderChain) {
        let tip = chain.tip().1;
        for known in self
            .known
            .iter()
            .filter(|known| chain.contains(&known.hash))
        {
            let hash = &known.hash;
            assert_eq!(chain.header(hash), Some(&known.header));
            assert_eq!(chain.height_of(hash), Some(known.height));
            let work = Work::from_u128(2 * (u128::from(known.height) + 1));
            assert_eq!(chain.work_of(hash), Some(work));
            let fork = self.fork(hash, &tip);
            let fork = (self.get(&fork).height, fork);
            assert_eq!(chain.fork_point(hash, &tip), Some(fork));
            let locator = chain.locator_from(hash).expect("a known header");
            let branch: Vec<BlockHash> = self.branch(hash).map(|known| known.hash).collect();
            assert!(locator.first() == Some(hash) && locator.last() == branch.last());
            assert!(locator.iter().all(|hash| branch.contains(hash)));
            if chain.is_active(hash) {
                let times = self.times(hash);
                assert_eq!(chain.median_time_at(known.height), Some(median(&times)));
            }
        }
        let headers: Vec<BlockHeader> = chain.headers(..).copied().collect();
        let rebuilt = HeaderChain::from_trusted(chain.rules().clone(), &headers, 0, None);
        let rebuilt = rebuilt.expect("the headers of a chain");
        assert_eq!(rebuilt.tip(), chain.tip());
        assert_eq!(rebuilt.total_work(), chain.total_work());
        assert_eq!(rebuilt.locator(), chain.locator());
    }
}

/// Returns the median of the last 11 times.
fn median(times: &[u32]) -> u32 {
    let mut last = times[times.len().saturating_sub(11)..].to_vec();
    last.sort_unstable();
    last[last.len() / 2]
}

fn judgment_of(error: &HeaderChainError) -> Judgment {
    let rule = |error: &ChainRuleError| match error {
        ChainRuleError::ProofOfWork { .. } => Rule::ProofOfWork,
        ChainRuleError::BitsMismatch { .. } => Rule::Bits,
        ChainRuleError::TimeTooOld { .. } => Rule::TimeTooOld,
        ChainRuleError::TimeTooNew { .. } => Rule::TimeTooNew,
        ChainRuleError::CheckpointMismatch { .. } => Rule::Checkpoint,
        ChainRuleError::ForkBelowCheckpoint { .. } => Rule::Fork,
        other => panic!("unexpected rule: {other}"),
    };
    match error {
        HeaderChainError::NotLinked { .. } => Judgment::NotLinked,
        HeaderChainError::UnknownParent { .. } => Judgment::UnknownParent,
        HeaderChainError::ProofOfWork { position, .. } => {
            Judgment::Invalid(*position, Rule::ProofOfWork)
        }
        HeaderChainError::InvalidHeader {
            position, error, ..
        } => Judgment::Invalid(*position, rule(error)),
        other => panic!("unexpected error: {other}"),
    }
}
