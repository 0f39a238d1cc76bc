//! Lookups that are canceled.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::discovery::{Deadline, DnsResolver, ResolveError, SeedResolver};

use crate::name_server::{ENOUGH, NameServer, SEED};

/// Stops are noticed within 50 ms. The rest is tolerance for a busy machine.
const SOON: Duration = Duration::from_millis(500);

/// Stops a lookup after the server received this number of queries. Returns its result.
fn stopped_after(server: &NameServer, questions: usize) -> Result<Vec<IpAddr>, ResolveError> {
    let stop = Arc::new(AtomicBool::new(false));
    let until = Deadline::after(ENOUGH).with_cancel_flag(stop.clone());
    let resolver = DnsResolver::new(vec![server.address]);
    let lookup = thread::spawn(move || (resolver.resolve(SEED, &until), Instant::now()));
    for _ in 0..questions {
        server.next_question();
    }
    let began = Instant::now();
    stop.store(true, Ordering::Release);
    let (found, ended) = lookup.join().unwrap();
    let took = ended.saturating_duration_since(began);
    assert!(took < SOON, "{took:?}");
    found
}

#[test]
fn stop_flag_ends_wait_for_silent_server() {
    let server = NameServer::silent();
    assert_eq!(stopped_after(&server, 2), Err(ResolveError::Cancelled));
}

#[test]
fn stop_flag_ends_wait_for_tcp_answer() {
    let server = NameServer::tcp(|_, client| client.wait_for_its_end());
    assert_eq!(stopped_after(&server, 3), Err(ResolveError::Cancelled));
    let trickling = NameServer::tcp(|_, client| client.trickle(0xff));
    assert_eq!(stopped_after(&trickling, 3), Err(ResolveError::Cancelled));
}

#[test]
fn stop_flag_set_before_prevents_queries() {
    let server = NameServer::silent();
    let until = Deadline::after(ENOUGH).with_cancel_flag(Arc::new(AtomicBool::new(true)));
    let found = DnsResolver::new(vec![server.address]).resolve(SEED, &until);
    assert_eq!(found, Err(ResolveError::Cancelled));
    assert_eq!(server.questions(), 0);
}
