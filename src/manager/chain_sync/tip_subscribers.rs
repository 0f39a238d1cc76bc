//! Subscribers of tip updates.

use super::TipUpdate;
use crate::connection::{EventReceiver, EventSender, event_queue};
use crate::event::SubscriptionEndReason;

/// Capacity of a receiver, in updates.
pub(super) const RECEIVER_CAPACITY: usize = 1024;

/// The senders of all tip subscriptions. Sending never blocks.
#[derive(Default)]
pub(super) struct TipSubscribers {
    list: Vec<TipSubscriber>,
    /// The reason why current and future receivers ended.
    end_reason: Option<SubscriptionEndReason>,
}

struct TipSubscriber {
    sender: EventSender<TipUpdate>,
    /// Number of updates discarded since the last delivered one.
    skipped: u64,
}

impl TipSubscribers {
    /// Adds a subscription. Its receiver ends at once after [`TipSubscribers::close`].
    pub(super) fn add(&mut self) -> EventReceiver<TipUpdate> {
        let (sender, receiver) = event_queue();
        match self.end_reason {
            Some(reason) => {
                sender.end(reason);
            }
            None => self.list.push(TipSubscriber { sender, skipped: 0 }),
        }
        receiver
    }

    /// Sends an update to all receivers. Full receivers skip it, dropped receivers are removed.
    pub(super) fn publish(&mut self, tip: &TipUpdate) {
        self.list.retain_mut(|subscriber| {
            if subscriber.sender.len() >= RECEIVER_CAPACITY {
                subscriber.skipped += 1;
                return true;
            }
            let skipped = std::mem::take(&mut subscriber.skipped);
            let update = TipUpdate {
                skipped,
                ..tip.clone()
            };
            subscriber.sender.push(update).is_ok()
        });
    }

    /// Ends all current and future receivers.
    pub(super) fn close(&mut self, reason: SubscriptionEndReason) {
        let reason = *self.end_reason.get_or_insert(reason);
        for subscriber in self.list.drain(..) {
            subscriber.sender.end(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::connection::TryRecvError;
    use crate::peers::PeerRef;
    use crate::wire::{BlockHash, BlockHeader};

    fn update_at(height: u32) -> TipUpdate {
        TipUpdate {
            hash: BlockHash([7; 32]),
            height,
            header: BlockHeader::genesis(&Network::Regtest),
            announced_by: None,
            connected: vec![BlockHash([7; 32])],
            disconnected: Vec::new(),
            skipped: 0,
        }
    }

    #[test]
    fn full_receiver_counts_skipped_updates() {
        let mut subscribers = TipSubscribers::default();
        let slow = subscribers.add();
        let fast = subscribers.add();
        for height in 0..RECEIVER_CAPACITY as u32 + 3 {
            subscribers.publish(&update_at(height));
            assert_eq!(fast.try_recv(), Ok(update_at(height)));
        }
        assert_eq!(slow.len(), RECEIVER_CAPACITY);
        assert_eq!(slow.recv(), Ok(update_at(0)));
        subscribers.publish(&update_at(9_000));
        subscribers.publish(&update_at(9_001));
        let last = slow.try_iter().last().unwrap().unwrap();
        assert_eq!((last.height, last.skipped), (9_000, 3));
        subscribers.publish(&update_at(9_002));
        let next = slow.try_recv().unwrap();
        assert_eq!((next.height, next.skipped), (9_002, 1));
    }

    #[test]
    fn dropped_receiver_is_removed_and_close_ends_others() {
        let mut subscribers = TipSubscribers::default();
        drop(subscribers.add());
        let kept = subscribers.add();
        subscribers.publish(&update_at(1));
        assert_eq!(subscribers.list.len(), 1);
        subscribers.close(SubscriptionEndReason::Shutdown);
        assert_eq!(kept.iter().count(), 1);
        let late = subscribers.add();
        assert_eq!(late.iter().count(), 0);
        for receiver in [kept, late] {
            let reason = SubscriptionEndReason::Shutdown;
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Ended(reason)));
        }
    }

    #[test]
    fn failure_is_delivered_after_pending_updates() {
        let mut subscribers = TipSubscribers::default();
        let tips = subscribers.add();
        subscribers.publish(&update_at(1));
        let reason = SubscriptionEndReason::InternalError;
        subscribers.close(reason);
        subscribers.close(SubscriptionEndReason::Shutdown);
        let mut received = tips.iter();
        assert_eq!(received.next(), Some(Ok(update_at(1))));
        let failed = received.next().and_then(Result::err);
        assert_eq!(failed.map(|error| error.reason), Some(reason));
        assert_eq!(received.next(), None);
        assert_eq!(subscribers.add().end_reason(), Some(reason));
    }

    #[test]
    fn display_names_all_changes() {
        let mut tip = update_at(5);
        assert!(tip.to_string().ends_with("at height 5"), "{tip}");
        tip.connected.push(BlockHash([8; 32]));
        tip.disconnected.push(BlockHash([9; 32]));
        tip.skipped = 2;
        let address = ([203, 0, 113, 7], 8333).into();
        tip.announced_by = Some(PeerRef::new(crate::peers::PeerId::from_u128(0), address));
        let expected = "2 blocks connected, 1 block disconnected, \
                        announced by 203.0.113.7:8333, 2 updates skipped";
        assert!(tip.to_string().ends_with(expected), "{tip}");
    }
}
