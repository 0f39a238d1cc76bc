//! Log records of the manager.

use log::Level;

use super::shared::Shared;
use crate::event::ControlEvent;
use crate::log_record::{Component, LogRecord};
use crate::session::Direction;

impl Shared {
    /// Creates a log record of the manager, with its network.
    pub(super) fn log(&self, level: Level) -> LogRecord<'static> {
        self.log_of(Component::Manager, level)
    }

    /// Creates a log record of a component that the manager uses, with the network.
    pub(super) fn log_of(&self, component: Component, level: Level) -> LogRecord<'static> {
        let record = LogRecord::new(component, level, Some(&self.log_level));
        if record.is_enabled() {
            record.network(self.config().network())
        } else {
            record
        }
    }

    /// Writes the record of an event that the manager emits. Connections write the records of their
    /// own events.
    pub(super) fn log_event(&self, event: &ControlEvent) {
        let record = match event {
            ControlEvent::PeerBanned { peer, ban } => {
                let record = self.log(Level::Warn).peer_address(ban.subnet);
                let record = record.reason(&ban.reason);
                match peer {
                    Some(peer) => record.peer_id(peer.peer_id),
                    None => record,
                }
            }
            ControlEvent::InboundConnectionRejected { address, reason } => self
                .log(Level::Debug)
                .peer_address(*address)
                .direction(Direction::Inbound)
                .reason(reason),
            ControlEvent::ListenerStarted { .. } => self.log(Level::Info),
            ControlEvent::ListenerBindFailed { error, .. }
            | ControlEvent::LocalFault { error, .. } => self.log(Level::Error).error(error),
            ControlEvent::StoreFailed { error } => {
                self.log_of(Component::Peers, Level::Error).error(error)
            }
            ControlEvent::HeaderStoreFailed { error } => self
                .log_of(Component::HeaderStore, Level::Error)
                .error(error),
            ControlEvent::ChainSplit { .. } | ControlEvent::TipStale { .. } => {
                self.log(Level::Warn)
            }
            _ => return,
        };
        record.write_event(event);
    }
}
