//! The view of a branch that chain rules need.

use crate::wire::{BlockHeader, CompactTarget, Work};

/// The number of headers over which a median time is computed.
pub(super) const MEDIAN_TIME_SPAN: u32 = 11;

/// The number of blocks between two retargets before the 144-block rule.
pub(in crate::wire) const RETARGET_INTERVAL: u32 = 2016;

/// A view of the branch that ends with the parent of the header being checked.
///
/// Heights below the first known header return `None`.
pub trait Ancestors {
    /// Returns the height of the last header of the branch.
    fn height(&self) -> u32;

    /// Returns the time of the header at `height`, in Unix seconds.
    fn time(&self, height: u32) -> Option<u32>;

    /// Returns the compact target of the header at `height`.
    fn bits(&self, height: u32) -> Option<CompactTarget>;

    /// Returns the work of the headers at `after + 1` to `up_to`, inclusive.
    ///
    /// Sums the work of each header. A view that stores sums should override it.
    fn work_between(&self, after: u32, up_to: u32) -> Option<Work> {
        let mut heights = after.saturating_add(1)..=up_to;
        heights.try_fold(Work::ZERO, |work, height| {
            Some(work.saturating_add(self.bits(height)?.work()))
        })
    }

    /// Returns the bits of the last header whose bits differ from `limit`, or whose height is a
    /// multiple of 2016.
    ///
    /// Looks at up to 2,016 headers. A view that checks consecutive headers should remember the
    /// result.
    fn last_regular_bits(&self, limit: CompactTarget) -> Option<CompactTarget> {
        let mut height = self.height();
        loop {
            let bits = self.bits(height)?;
            if bits != limit || height.is_multiple_of(RETARGET_INTERVAL) {
                return Some(bits);
            }
            height -= 1;
        }
    }

    /// Returns the median time of the up to 11 headers that end with `height`, in Unix seconds.
    ///
    /// Only heights below 10 have a median of fewer than 11. Returns `None` if one of the headers
    /// is unknown.
    fn median_time(&self, height: u32) -> Option<u32> {
        let mut times = [0; MEDIAN_TIME_SPAN as usize];
        let count = height.saturating_add(1).min(MEDIAN_TIME_SPAN);
        let times = &mut times[..count as usize];
        for (time, back) in times.iter_mut().zip(0..) {
            *time = self.time(height - back)?;
        }
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}

/// A branch given as a slice of consecutive headers.
///
/// Each call of [`Ancestors::work_between`] sums the work of the headers, in O(n).
#[derive(Clone, Copy, Debug)]
pub struct HeaderSlice<'a> {
    first_height: u32,
    headers: &'a [BlockHeader],
}

impl<'a> HeaderSlice<'a> {
    /// Creates a view of consecutive headers, the first of which has the height `first_height`.
    ///
    /// Returns `None` if there is no header, or the last height exceeds `u32::MAX`.
    pub fn new(first_height: u32, headers: &'a [BlockHeader]) -> Option<Self> {
        let above = u32::try_from(headers.len().checked_sub(1)?).ok()?;
        first_height.checked_add(above)?;
        Some(Self {
            first_height,
            headers,
        })
    }

    fn header(&self, height: u32) -> Option<&BlockHeader> {
        let at = height.checked_sub(self.first_height)?;
        self.headers.get(at as usize)
    }
}

impl Ancestors for HeaderSlice<'_> {
    fn height(&self) -> u32 {
        self.first_height + (self.headers.len() - 1) as u32
    }

    fn time(&self, height: u32) -> Option<u32> {
        self.header(height).map(|header| header.time)
    }

    fn bits(&self, height: u32) -> Option<CompactTarget> {
        self.header(height).map(|header| header.bits)
    }
}
