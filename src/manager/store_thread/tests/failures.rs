//! Tests of stores that fail, panic or hang.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
/// A pace with the shortest pauses.
const EAGER: Pace = Pace {
    rest: MILLISECOND,
    retry: MILLISECOND,
};

/// Returns a closure that fails `times` times and then succeeds.
fn failing(times: usize, error: StoreError) -> impl Fn(Call) -> Result<(), StoreError> {
    let left = AtomicUsize::new(times);
    move |_| {
        let one_less = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        one_less.map_or(Ok(()), |_| Err(error.clone()))
    }
}

#[test]
fn failed_write_is_reported_once_and_retried() {
    let bench = Bench::new(EAGER, failing(5, no_space()));
    bench.thread.write(save());
    bench.expect_calls(&[Call::Save; 6]);
    assert_eq!(bench.expect_failure(), no_space());
    assert_eq!(bench.failures.try_iter().count(), 0);
    // Only the final save is pending.
    let (result, calls, _) = bench.finish();
    assert_eq!((result, calls), (Ok(()), vec![Call::Save]));
}

#[test]
fn failure_is_reported_again_after_success() {
    // The third save succeeds.
    let saves = AtomicUsize::new(0);
    let bench = Bench::new(NO_RETRY, move |call| match call {
        Call::Save if saves.fetch_add(1, Relaxed) != 2 => Err(no_space()),
        _ => Ok(()),
    });
    bench.thread.write(save());
    bench.expect_calls(&[Call::Save]);
    bench.thread.write(bans(1));
    bench.expect_calls(&[Call::Bans(1)]);
    for _ in 0..3 {
        bench.thread.write(save());
        bench.expect_calls(&[Call::Save]);
    }
    let failures = bench.failures.clone();
    // The final save fails as well.
    let (result, _, _) = bench.finish();
    assert_eq!(result, Err(FinishError::Failed(no_space())));
    let told: Vec<_> = failures.try_iter().collect();
    assert_eq!(told, [no_space(), no_space()]);
}

#[test]
fn failures_that_nobody_takes_hold_nothing_up() {
    let bench = Bench::with_room_for(100, 1, NO_RETRY, |call| match call {
        Call::Save => Ok(()),
        call => Err(StoreError::Other(format!("{call:?}"))),
    });
    for number in 1..=10 {
        bench.thread.write(known(&peer(number)));
        bench.next_call();
    }
    bench.thread.write(save());
    bench.expect_calls(&[Call::Save]);
    assert!(bench.failures.is_full());
}

#[test]
fn a_later_change_replaces_one_that_has_failed() {
    let bench = Bench::new(NO_RETRY, failing(1, no_space()));
    let mut peer = peer(1);
    bench.thread.write(known(&peer));
    bench.expect_calls(&[Call::Update(peer.id)]);
    peer.failures = 7;
    bench.thread.write(known(&peer));
    bench.expect_calls(&[Call::Update(peer.id), Call::Create(peer.id)]);
    let (result, calls, store) = bench.finish();
    assert_eq!((result, calls), (Ok(()), vec![Call::Save]));
    assert_eq!(store.list_all(), Ok(vec![peer]));
}

#[test]
fn the_end_tries_once_more_what_has_failed() {
    let bench = Bench::new(NO_RETRY, failing(2, no_space()));
    let peer = peer(1);
    let mut changes = known(&peer);
    changes.merge(bans(3));
    bench.thread.write(changes);
    bench.expect_calls(&[Call::Update(peer.id), Call::Bans(3)]);
    let (result, _, store) = bench.finish();
    assert_eq!(result, Ok(()));
    assert_eq!(store.list_all(), Ok(vec![peer]));
    assert_eq!(store.read_bans().unwrap().len(), 3);
}

#[test]
fn permanent_failure_is_reported_and_dropped() {
    let bench = Bench::new(NO_RETRY, |_| Ok(()));
    let (there, new) = (peer(1), peer(1));
    let address = there.socket_address();
    bench
        .store
        .inner
        .create(there.clone(), SystemTime::now())
        .unwrap();
    bench.thread.write(known(&new));
    assert_eq!(
        bench.expect_failure(),
        StoreError::DuplicateAddress(address)
    );
    bench.expect_calls(&[Call::Update(new.id), Call::Create(new.id)]);
    let (result, calls, store) = bench.finish();
    assert_eq!((result, calls), (Ok(()), vec![Call::Save]));
    assert_eq!(store.list_all(), Ok(vec![there]));
}

#[test]
fn create_waits_for_delete_of_same_address() {
    let bench = Bench::new(NO_RETRY, failing(1, no_space()));
    let (old, new) = (peer(1), peer(1));
    bench
        .store
        .inner
        .create(old.clone(), SystemTime::now())
        .unwrap();
    bench.thread.write(forgotten(&old));
    bench.expect_calls(&[Call::Delete(old.id)]);
    bench.thread.write(known(&new));
    bench.expect_calls(&[Call::Update(new.id), Call::Create(new.id)]);
    let (result, _, store) = bench.finish();
    assert_eq!(result, Ok(()));
    assert_eq!(store.list_all(), Ok(vec![new]));
}

#[test]
fn store_panic_is_reported_and_peer_skipped() {
    let unlucky = peer(1);
    let id = unlucky.id;
    let saves = AtomicUsize::new(0);
    let bench = Bench::new(EAGER, move |call| match call {
        Call::Update(peer) if peer == id => panic!("a test's panic"),
        Call::Save if saves.fetch_add(1, Relaxed) == 0 => panic!("a test's panic"),
        _ => Ok(()),
    });
    let lucky = peer(2);
    let mut changes = known(&unlucky);
    changes.merge(known(&lucky));
    changes.merge(save());
    bench.thread.write(changes);
    for kind in ["writing a peer", "saving"] {
        let failure = bench.expect_failure().to_string();
        assert!(
            failure.contains("panicked") && failure.contains(kind),
            "{failure}"
        );
    }
    // The save is retried, but the peer is not.
    while bench.next_call().0 != Call::Save {}
    bench.expect_calls(&[Call::Save]);
    let (result, calls, store) = bench.finish();
    assert_eq!((result, calls), (Ok(()), vec![Call::Save]));
    assert_eq!(store.list_all(), Ok(vec![lucky]));
}

#[test]
fn hanging_store_delays_only_shutdown_until_deadline() {
    let (release, gate) = bounded::<()>(0);
    // Blocks until the other end of the gate is dropped.
    let bench = Bench::new(EAGER, move |call| {
        if call == Call::Save {
            let _ = gate.recv();
        }
        Ok(())
    });
    bench.thread.write(save());
    bench.expect_calls(&[Call::Save]);
    let began = Instant::now();
    let mut peer = peer(1);
    for failures in 1..=1000 {
        peer.failures = failures;
        bench.thread.write(known(&peer));
    }
    let deadline = Instant::now() + 50 * MILLISECOND;
    assert_eq!(bench.thread.finish(deadline), Err(FinishError::TimedOut));
    assert!(Instant::now() >= deadline && began.elapsed() < DEADLINE);

    // When the store returns, the thread writes the remaining changes together and ends.
    drop(release);
    let rest = [Call::Update(peer.id), Call::Create(peer.id), Call::Save];
    for expected in rest {
        assert_eq!(bench.calls.recv_timeout(DEADLINE).unwrap().0, expected);
    }
    let deadline = Instant::now() + DEADLINE;
    while Arc::strong_count(&bench.store) > 1 {
        assert!(Instant::now() < deadline, "the thread has not ended");
        thread::park_timeout(MILLISECOND);
    }
    assert_eq!(bench.store.list_all(), Ok(vec![peer]));
}
