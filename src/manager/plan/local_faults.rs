//! Local faults while dialing, and the pauses of candidates after them.

use std::net::IpAddr;
use std::time::Instant;

use super::{Plan, Retry};
use crate::connection::RestartConfig;
use crate::event::{ControlEvent, LocalOperation};
use crate::manager::clock::Now;
use crate::peers::PeerId;
use crate::session::{DisconnectAction, DisconnectReason};
use crate::system_error::SystemError;

/// The local faults of each address family since its last dial that succeeded or failed for another
/// cause.
///
/// A fault pauses the dialing of candidates of the family, because further dials would probably
/// fail as well. The families are separate, because a machine without IPv6 may have a route for
/// IPv4.
#[derive(Debug, Default)]
pub(super) struct LocalFaults {
    ipv4: FaultRun,
    ipv6: FaultRun,
}

/// The consecutive local faults of one address family.
#[derive(Clone, Copy, Debug, Default)]
struct FaultRun {
    /// The number of consecutive pauses.
    pauses: u32,
    /// The end of the last pause.
    paused_until: Option<Instant>,
    /// The last error that was reported.
    reported: Option<SystemError>,
}

impl LocalFaults {
    /// Returns the end of the pause for candidates at `address`, if there is one.
    pub(super) fn paused_until(&self, address: IpAddr) -> Option<Instant> {
        match address {
            IpAddr::V4(_) => self.ipv4.paused_until,
            IpAddr::V6(_) => self.ipv6.paused_until,
        }
    }

    fn run_mut(&mut self, address: IpAddr) -> &mut FaultRun {
        match address {
            IpAddr::V4(_) => &mut self.ipv4,
            IpAddr::V6(_) => &mut self.ipv6,
        }
    }

    /// Records a fault. Returns whether the error must be reported.
    fn record(
        &mut self,
        address: IpAddr,
        error: SystemError,
        (restarts, random): (&RestartConfig, u64),
        now: Now,
    ) -> bool {
        let concerns_socket = error.is_local_fault() && !error.is_out_of_resources();
        let runs = if concerns_socket {
            vec![self.run_mut(address)]
        } else {
            vec![&mut self.ipv4, &mut self.ipv6]
        };
        let mut is_new = false;
        for run in runs {
            is_new |= run.reported != Some(error);
            run.reported = Some(error);
            // Concurrent dials that fail together count as one fault.
            if run.paused_until.is_none_or(|until| until <= now.instant) {
                let pause = restarts.local_fault_pause(run.pauses, random);
                run.paused_until = Some(now.after(pause));
                run.pauses = run.pauses.saturating_add(1);
            }
        }
        is_new
    }
}

impl Plan {
    /// Classifies the end of an outbound connection or of an attempt. Emits an event for a local
    /// fault.
    pub(super) fn note_local_fault(
        &mut self,
        address: IpAddr,
        reason: &DisconnectReason,
        now: Now,
    ) {
        match (reason, reason.action()) {
            (DisconnectReason::LocalFault(error), _) => {
                let restarts = (&self.config.restarts, (self.random)());
                if self.local_faults.record(address, *error, restarts, now) {
                    self.tell(ControlEvent::LocalFault {
                        operation: LocalOperation::Dial,
                        error: *error,
                    });
                }
            }
            // These reasons do not involve a socket.
            (DisconnectReason::InternalError, _)
            | (_, DisconnectAction::None | DisconnectAction::ManualOnly) => {}
            _ => self.end_local_faults(address),
        }
    }

    /// Resets the faults of the family of `address`, after a dial that succeeded or failed for
    /// another cause.
    pub(super) fn end_local_faults(&mut self, address: IpAddr) {
        *self.local_faults.run_mut(address) = FaultRun::default();
    }

    /// Schedules the next dial of a peer after a local fault, without a failure of the peer.
    pub(super) fn retry_soon(&mut self, peer_id: PeerId, reason: &DisconnectReason, now: Now) {
        let (pauses, local_faults) = self
            .retries
            .get(&peer_id)
            .map_or((0, 0), |retry| (retry.pauses, retry.local_faults));
        let random = (self.random)();
        let pause = self.config.restarts.local_fault_pause(local_faults, random);
        let retry = Retry {
            at: now.after(pause),
            reason: reason.clone(),
            pauses,
            local_faults: local_faults.saturating_add(1),
        };
        self.remember_retry(peer_id, retry);
    }
}
