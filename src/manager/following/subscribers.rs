//! Who wants to hear of new tips.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::NewTip;

/// How many tips may wait in a receiver.
pub(super) const TIPS_WAITING: usize = 1024;

/// The receivers of new tips. Nobody waits for any of them.
#[derive(Default)]
pub(super) struct Subscribers {
    list: Vec<Subscriber>,
    /// Nobody is told anything any more.
    is_over: bool,
}

struct Subscriber {
    sender: Sender<NewTip>,
    missed: u64,
}

impl Subscribers {
    pub(super) fn add(&mut self) -> Receiver<NewTip> {
        let (sender, receiver) = bounded(TIPS_WAITING);
        if !self.is_over {
            self.list.push(Subscriber { sender, missed: 0 });
        }
        receiver
    }

    /// Tells all. One without room misses it, one that was dropped is forgotten.
    pub(super) fn tell(&mut self, tip: &NewTip) {
        self.list.retain_mut(|one| {
            let missed = one.missed;
            let told = one.sender.try_send(NewTip {
                missed,
                ..tip.clone()
            });
            one.missed = match told {
                Ok(()) => 0,
                Err(TrySendError::Full(_)) => missed + 1,
                Err(TrySendError::Disconnected(_)) => return false,
            };
            true
        });
    }

    /// Ends all receivers, and those to come.
    pub(super) fn close(&mut self) {
        self.is_over = true;
        self.list.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::wire::{BlockHash, BlockHeader};

    fn tip(height: u32) -> NewTip {
        NewTip {
            hash: BlockHash([7; 32]),
            height,
            header: BlockHeader::genesis(Network::Regtest),
            announced_by: None,
            connected: vec![BlockHash([7; 32])],
            disconnected: Vec::new(),
            missed: 0,
        }
    }

    #[test]
    fn one_without_room_is_told_how_many_it_has_missed_and_others_miss_nothing() {
        let mut subscribers = Subscribers::default();
        let slow = subscribers.add();
        let brisk = subscribers.add();
        for height in 0..TIPS_WAITING as u32 + 3 {
            subscribers.tell(&tip(height));
            assert_eq!(brisk.try_recv(), Ok(tip(height)));
        }
        assert_eq!(slow.len(), TIPS_WAITING);
        assert_eq!(slow.recv(), Ok(tip(0)));
        subscribers.tell(&tip(9_000));
        subscribers.tell(&tip(9_001));
        let last = slow.try_iter().last().unwrap();
        assert_eq!((last.height, last.missed), (9_000, 3));
        subscribers.tell(&tip(9_002));
        let next = slow.try_recv().unwrap();
        assert_eq!((next.height, next.missed), (9_002, 1));
    }

    #[test]
    fn a_receiver_that_was_dropped_is_forgotten_and_the_others_end_at_last() {
        let mut subscribers = Subscribers::default();
        drop(subscribers.add());
        let kept = subscribers.add();
        subscribers.tell(&tip(1));
        assert_eq!(subscribers.list.len(), 1);
        subscribers.close();
        assert_eq!(kept.iter().count(), 1);
        assert_eq!(subscribers.add().iter().count(), 0);
    }

    #[test]
    fn a_tip_says_what_has_changed() {
        let mut one = tip(5);
        assert!(one.to_string().ends_with("at height 5"), "{one}");
        one.connected.push(BlockHash([8; 32]));
        one.disconnected.push(BlockHash([9; 32]));
        one.missed = 2;
        let expected = "with 1 before it, in place of 1 blocks, after 2 that were missed";
        assert!(one.to_string().ends_with(expected), "{one}");
    }
}
