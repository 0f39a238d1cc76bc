//! One direction of a connection: reads, applies the plan, writes.

use std::time::{Duration, Instant};

use super::link::{Ended, Link};
use super::place::{Place, Tracker};
use super::{Fault, FaultKind, Way};

/// Forwards bytes until the sender closes or the connection ends. `struck` is called for every
/// harmful fault.
pub(super) fn run(link: &Link, way: Way, faults: &[Fault], struck: impl FnMut(Fault, Place)) {
    let pump = Pump {
        link,
        way,
        faults,
        struck,
        tracker: Tracker::new(),
        position: 0,
        latency: (Duration::ZERO, 0),
        bandwidth: None,
        single_until: 0,
        skipped_until: 0,
        twice: None,
    };
    // No action is left, whatever the result.
    let _ = pump.run();
}

struct Pump<'a, S> {
    link: &'a Link,
    way: Way,
    /// The remaining faults.
    faults: &'a [Fault],
    struck: S,
    tracker: Tracker,
    /// The number of processed bytes of the sender.
    position: u64,
    /// The delay of read bytes, and the offset at which it ends.
    latency: (Duration, u64),
    bandwidth: Option<Bandwidth>,
    single_until: u64,
    skipped_until: u64,
    /// The bytes since the start of a duplication, and its end.
    twice: Option<(Vec<u8>, u64)>,
}

struct Bandwidth {
    bytes_per_second: u64,
    until: u64,
    began: Instant,
    from: u64,
}

impl<S: FnMut(Fault, Place)> Pump<'_, S> {
    fn run(mut self) -> Result<(), Ended> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let len = self.link.read(self.way, &mut buffer)?;
            if len == 0 {
                self.link.close_writing(self.way);
                return Ok(());
            }
            if self.position < self.latency.1 {
                self.link.pause(self.latency.0)?;
            }
            let mut bytes = &mut buffer[..len];
            while !bytes.is_empty() {
                self.strike(&mut bytes[0])?;
                let next = self.faults.first().map_or(u64::MAX, |fault| fault.at);
                let steps = [
                    next,
                    self.skipped_until,
                    self.twice.as_ref().map_or(0, |(_, until)| *until),
                ];
                // Up to the next change.
                let upcoming = steps.into_iter().filter(|step| *step > self.position);
                let step = upcoming.min().unwrap_or(u64::MAX) - self.position;
                let (now, later) = bytes.split_at_mut((bytes.len() as u64).min(step) as usize);
                self.pass(now)?;
                bytes = later;
            }
        }
    }

    /// Applies the faults of the next byte.
    fn strike(&mut self, byte: &mut u8) -> Result<(), Ended> {
        while let Some((fault, rest)) = self.faults.split_first()
            && fault.at <= self.position
        {
            self.faults = rest;
            if !fault.kind.is_harmless() {
                (self.struck)(fault.clone(), self.tracker.place());
            }
            match &fault.kind {
                FaultKind::Latency { delay, len } => self.latency = (*delay, self.position + len),
                FaultKind::Bandwidth {
                    bytes_per_second,
                    len,
                } => {
                    self.bandwidth = Some(Bandwidth {
                        bytes_per_second: *bytes_per_second,
                        until: self.position + len,
                        began: Instant::now(),
                        from: self.position,
                    });
                }
                FaultKind::SingleBytes { len } => self.single_until = self.position + len,
                FaultKind::Reset => {
                    self.link.reset();
                    return Err(Ended);
                }
                FaultKind::Truncate => {
                    self.link.close();
                    return Err(Ended);
                }
                FaultKind::HalfClose => {
                    self.link.close_writing(self.way);
                    let mut swallowed = [0; 4096];
                    while self.link.read(self.way, &mut swallowed)? > 0 {}
                    return Err(Ended);
                }
                FaultKind::Stall => return Err(self.link.stall()),
                FaultKind::Flip { bit } => *byte ^= 1 << bit,
                FaultKind::Insert { bytes } => self.link.write(self.way, bytes)?,
                FaultKind::Remove { len } => self.skipped_until = self.position + len,
                FaultKind::Duplicate { len } => {
                    self.twice = Some((Vec::new(), self.position + len))
                }
            }
        }
        Ok(())
    }

    /// Forwards bytes without a new fault.
    fn pass(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.tracker.advance(bytes);
        if self.position < self.skipped_until {
            self.position += bytes.len() as u64;
            return Ok(());
        }
        self.write(bytes)?;
        if let Some((passed, until)) = &mut self.twice {
            passed.extend_from_slice(bytes);
            if self.position >= *until {
                self.link.write(self.way, passed)?;
                self.twice = None;
            }
        }
        Ok(())
    }

    /// Writes bytes at the configured speed.
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Ended> {
        while !bytes.is_empty() {
            let most = match self.bandwidth {
                _ if self.position < self.single_until => 1,
                Some(_) => 4096,
                None => bytes.len(),
            };
            let (now, later) = bytes.split_at(bytes.len().min(most));
            self.link.write(self.way, now)?;
            self.position += now.len() as u64;
            bytes = later;
            self.hold_back()?;
        }
        Ok(())
    }

    fn hold_back(&mut self) -> Result<(), Ended> {
        let Some(bandwidth) = &self.bandwidth else {
            return Ok(());
        };
        if self.position >= bandwidth.until {
            self.bandwidth = None;
            return Ok(());
        }
        let sent = self.position - bandwidth.from;
        let due = Duration::from_secs_f64(sent as f64 / bandwidth.bytes_per_second as f64);
        self.link
            .pause(due.saturating_sub(bandwidth.began.elapsed()))
    }
}
