//! The way from the threads of connections to the supervisor's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::connection::{Keeper, NextLife, RestartPlan, random_number};
use crate::manager::connected::Connected;
use crate::manager::metrics::{Counters, count};
use crate::manager::plan::Attachment;
use crate::manager::shared::{CurrentConfig, Shared};
use crate::session::{Direction, DisconnectReason, PeerInfo};

/// How a connection fares.
pub(super) enum LifeNews {
    Connected {
        peer_id: Uuid,
        info: Box<PeerInfo>,
    },
    Waiting {
        due: Instant,
        next: NextLife,
    },
    Over {
        peer_id: Uuid,
        reason: DisconnectReason,
    },
}

/// Keeps one connection: decides by its own plan whether it is opened again, and tells the supervisor.
///
/// The channel has no bound of its own, so that no connection ever waits for the supervisor; there are at most two pieces of news of
/// each connection in it.
pub(super) struct LifeKeeper {
    peer_id: Uuid,
    attachment: Attachment,
    plan: Mutex<RestartPlan>,
    config: CurrentConfig,
    connected: Arc<Connected>,
    counters: Arc<Counters>,
    news: Sender<LifeNews>,
}

impl LifeKeeper {
    pub(super) fn new(
        (peer_id, direction, attachment): (Uuid, Direction, Attachment),
        shared: &Shared,
        news: Sender<LifeNews>,
    ) -> Self {
        let restarts = attachment.restarts(&shared.config());
        Self {
            peer_id,
            attachment,
            plan: Mutex::new(RestartPlan::new(direction, restarts)),
            config: shared.config.clone(),
            connected: shared.connected.clone(),
            counters: shared.counters.clone(),
            news,
        }
    }
}

// Once the supervisor has gone nobody wants to know any more; a next life is dropped then, which ends its connection.
impl Keeper for LifeKeeper {
    fn on_connected(&self, info: &PeerInfo) {
        count(&self.counters.handshakes);
        self.connected.add();
        let _ = self.news.send(LifeNews::Connected {
            peer_id: self.peer_id,
            info: Box::new(info.clone()),
        });
    }

    fn pause_before_next(
        &self,
        reason: &DisconnectReason,
        connected_at: Option<Instant>,
    ) -> Option<Duration> {
        if connected_at.is_some() {
            count(&self.counters.lost);
            self.connected.remove();
        } else {
            count(&self.counters.failed);
        }
        let now = Instant::now();
        let mut plan = self.plan.lock();
        plan.set_config(self.attachment.restarts(&self.config.read()));
        plan.on_end(reason, connected_at, now, random_number())
            .pause()
    }

    fn on_waiting(&self, due: Instant, _: DisconnectReason, next: NextLife) {
        let _ = self.news.send(LifeNews::Waiting { due, next });
    }

    fn on_over(&self, reason: DisconnectReason) {
        let _ = self.news.send(LifeNews::Over {
            peer_id: self.peer_id,
            reason,
        });
    }
}
