//! The last headers of the branch that is being extended.

use std::cell::Cell;

use super::HeaderChain;
use crate::wire::chain_rules::RETARGET_INTERVAL;
use crate::wire::{Ancestors, BlockHash, BlockHeader, CompactTarget, Work};

/// The number of headers kept: more than the 147 that the 144-block rule looks at.
const LEN: usize = 256;

/// The number of headers that a window starts with.
const START: u32 = 160;

/// Time, bits and chain work of the last headers of a branch.
///
/// Lets consecutive headers be checked without walking the branch for each of them.
#[derive(Clone)]
pub(super) struct Window {
    /// The header at height `h` has the position `h % LEN`.
    entries: Box<[WindowEntry; LEN]>,
    /// The lowest height in the window.
    first: u32,
    /// The highest height in the window.
    last: u32,
    /// The work of the last header.
    own_work: Work,
    /// The argument and the result of [`Ancestors::last_regular_bits`], once it has been called.
    regular_bits: RegularBits,
}

/// The argument and the result of [`Ancestors::last_regular_bits`].
type RegularBits = Option<(CompactTarget, CompactTarget)>;

#[derive(Clone, Copy)]
struct WindowEntry {
    time: u32,
    bits: CompactTarget,
    chain_work: Work,
}

impl Window {
    /// Creates a window of one header; `work` is the chain work up to and including it.
    pub(super) fn new(height: u32, header: &BlockHeader, work: Work) -> Self {
        let entry = WindowEntry {
            time: header.time,
            bits: header.bits,
            chain_work: work,
        };
        Self {
            entries: Box::new([entry; LEN]),
            first: height,
            last: height,
            own_work: header.bits.work(),
            regular_bits: None,
        }
    }

    /// Creates the window of the branch that ends with `parent`.
    pub(super) fn ending_with(chain: &HeaderChain, parent: &BlockHash) -> Option<Self> {
        let mut headers = Vec::with_capacity(START as usize);
        headers.extend(chain.branch(parent).take(START as usize));
        let ((height, hash, first), others) = headers.split_last()?;
        let work = chain.work_of(hash)?;
        let mut window = Self::new(*height, first, work);
        for (_, _, header) in others.iter().rev() {
            window.push(header.time, header.bits);
        }
        Some(window)
    }

    /// Appends the next header. Returns the chain work up to and including it.
    #[inline]
    pub(super) fn push(&mut self, time: u32, bits: CompactTarget) -> Work {
        let last = &self.entries[position(self.last)];
        if bits != last.bits {
            self.own_work = bits.work();
        }
        let chain_work = last.chain_work.saturating_add(self.own_work);
        self.last += 1;
        if let Some((limit, regular)) = &mut self.regular_bits
            && (bits != *limit || self.last.is_multiple_of(RETARGET_INTERVAL))
        {
            *regular = bits;
        }
        self.first = self.first.max((self.last + 1).saturating_sub(LEN as u32));
        self.entries[position(self.last)] = WindowEntry {
            time,
            bits,
            chain_work,
        };
        chain_work
    }

    /// Stores the results of the check of the last header's successor.
    pub(super) fn keep(&mut self, results: RegularBits) {
        self.regular_bits = results;
    }

    /// Returns the chain work up to and including the last header.
    pub(super) fn work(&self) -> Work {
        self.entries[position(self.last)].chain_work
    }

    #[inline]
    fn get(&self, height: u32) -> Option<&WindowEntry> {
        (self.first..=self.last)
            .contains(&height)
            .then(|| &self.entries[position(height)])
    }
}

#[inline]
fn position(height: u32) -> usize {
    height as usize % LEN
}

/// The branch of a header that is being checked: a window, with the chain for older headers.
pub(super) struct BranchView<'a> {
    window: &'a Window,
    chain: &'a HeaderChain,
    /// The last header of the branch that the chain contains, with its height.
    stored: (u32, BlockHash),
    /// The headers after it that have been checked.
    checked: &'a [BlockHeader],
    regular_bits: Cell<RegularBits>,
}

impl<'a> BranchView<'a> {
    /// Creates the view of a branch: `checked` headers follow the `stored` one, and `window` ends
    /// with the last of them.
    #[inline]
    pub(super) fn new(
        chain: &'a HeaderChain,
        stored: (u32, BlockHash),
        checked: &'a [BlockHeader],
        window: &'a Window,
    ) -> Self {
        Self {
            window,
            chain,
            stored,
            checked,
            regular_bits: Cell::new(window.regular_bits),
        }
    }

    /// Returns the results to keep in the window.
    #[inline]
    pub(super) fn results(self) -> RegularBits {
        self.regular_bits.get()
    }

    #[cold]
    fn older(&self, height: u32) -> Option<&BlockHeader> {
        let (stored, hash) = self.stored;
        match height.checked_sub(stored + 1) {
            Some(at) => self.checked.get(at as usize),
            None => self.chain.ancestor(&hash, height),
        }
    }
}

impl Ancestors for BranchView<'_> {
    #[inline]
    fn height(&self) -> u32 {
        self.window.last
    }

    #[inline]
    fn time(&self, height: u32) -> Option<u32> {
        match self.window.get(height) {
            Some(entry) => Some(entry.time),
            None => self.older(height).map(|header| header.time),
        }
    }

    #[inline]
    fn bits(&self, height: u32) -> Option<CompactTarget> {
        match self.window.get(height) {
            Some(entry) => Some(entry.bits),
            None => self.older(height).map(|header| header.bits),
        }
    }

    fn last_regular_bits(&self, limit: CompactTarget) -> Option<CompactTarget> {
        if let Some((_, regular)) = self.regular_bits.get().filter(|(of, _)| *of == limit) {
            return Some(regular);
        }
        // One pass over the branch, because each lookup by height would iterate over it again.
        let (stored, hash) = self.stored;
        let in_batch = self.checked.iter().enumerate().rev();
        let in_batch = in_batch.map(|(at, header)| (stored + 1 + at as u32, header));
        let in_chain = self.chain.branch(&hash);
        let in_chain = in_chain.map(|(height, _, header)| (height, header));
        let (_, regular) = in_batch.chain(in_chain).find(|(height, header)| {
            header.bits != limit || height.is_multiple_of(RETARGET_INTERVAL)
        })?;
        self.regular_bits.set(Some((limit, regular.bits)));
        Some(regular.bits)
    }

    #[inline]
    fn work_between(&self, after: u32, up_to: u32) -> Option<Work> {
        let [after, up_to] = [after, up_to].map(|height| self.window.get(height));
        Some(up_to?.chain_work.saturating_sub(after?.chain_work))
    }
}
