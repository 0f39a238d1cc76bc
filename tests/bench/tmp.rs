use bsv_p2p::session::*;
use bsv_p2p::wire::*;
use bsv_p2p::Network;
use std::time::{Duration, Instant};
use test_support::raw_peer::{version, protoconf};

fn connected() -> Session {
    let now = Instant::now();
    let mut n = 0;
    let mut session = Session::new(Direction::Outbound, SessionConfig::default(), NonceRegistry::default(), Box::new(move || { n += 1; n }), now).unwrap();
    session.on_connect_started().unwrap();
    session.on_connected("127.0.0.1:1".parse().unwrap(), 0, now).unwrap();
    let _ = session.on_message(&version().into(), now);
    let _ = session.on_message(&Message::Verack, now);
    let _ = session.on_message(&protoconf().into(), now);
    session
}
fn time(what: &str, bytes: u64, mut f: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..15 {
        let began = Instant::now();
        f();
        best = best.min(began.elapsed());
    }
    println!("{what}: {best:?}, {:.0} MB/s", bytes as f64 / best.as_secs_f64() / 1e6);
}
fn main() {
    let session = connected();
    let tx = |n: u32, len: usize| Transaction { version: 1, inputs: vec![TransactionInput { previous: OutPoint { txid: Txid([1; 32]), index: n }, script: vec![1; len], sequence: 0 }], outputs: vec![TransactionOutput { value: 1, script: vec![1; 25] }], lock_time: 0 };
    for (count, len) in [(20_000u32, 107usize), (80, 50_000), (1, 4_000_000)] {
        let block = test_support::mining::mined_block(&(0..count).map(|n| tx(n, len)).collect::<Vec<_>>());
        let message = Message::from(block);
        let bytes = message.encoded_len();
        time(&format!("block of {count} tx, {bytes} bytes: check"), bytes, || assert_eq!(session.check_outgoing(&message), Ok(())));
        time("  encode", bytes, || drop(EncodedFrame::new(Network::Regtest.magic(), &message)));
    }
    let message = Message::from(Headers { headers: test_support::mining::mined_headers(2000) });
    let bytes = message.encoded_len();
    time("2000 headers: check", bytes, || assert_eq!(session.check_outgoing(&message), Ok(())));
    time("  encode", bytes, || drop(EncodedFrame::new(Network::Regtest.magic(), &message)));
    let message = Message::from(Tx::from(&tx(1, 107)));
    time("tx x 1000: check", 1000 * message.encoded_len(), || for _ in 0..1000 { assert_eq!(session.check_outgoing(&message), Ok(())) });
}
