//! The same requests to servers of different kinds.
//!
//! A table states the outcome and the time bound of each request for one server. [`run`] checks it
//! with a `Connection` and with an actor, each request on a connection of its own.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::wire::{
    BlockHash, BlockHeader, BloomFilter, BloomFlags, GetData, GetHdrsEn, Inventory, Message, Tx,
    Txid,
};
use bsv_p2p::{ConnectionConfig, Error, Network, Timeout};

use crate::client::{Client, ClientKind};

/// Time limit of a request without an answer.
const NO_ANSWER_TIMEOUT: Duration = Duration::from_millis(300);

/// Time limit of a request with an answer, which is much longer than its bound.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A request of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    HeadersFromGenesis,
    HeadersFromMiddle,
    HeadersAtTip,
    /// The server knows no block of the locator.
    HeadersFromUnknown,
    BlockPresent,
    BlockAbsent,
    /// The server has the header of the block only.
    BlockPruned,
    TransactionPresent,
    TransactionAbsent,
    Addresses,
    Ping,
    /// `filterload`, then a filtered block.
    BloomFilter,
    EnrichedHeaders,
}

impl Request {
    const ALL: [Request; 13] = [
        Request::HeadersFromGenesis,
        Request::HeadersFromMiddle,
        Request::HeadersAtTip,
        Request::HeadersFromUnknown,
        Request::BlockPresent,
        Request::BlockAbsent,
        Request::BlockPruned,
        Request::TransactionPresent,
        Request::TransactionAbsent,
        Request::Addresses,
        Request::Ping,
        Request::BloomFilter,
        Request::EnrichedHeaders,
    ];
}

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The requested value.
    Value,
    /// This number of headers after the locator.
    Headers(usize),
    /// No headers.
    Empty,
    /// The server does not have the object.
    NotFound,
    /// The request is not sent: the peer would punish or ignore it.
    Refused,
    /// No answer until the timeout.
    NoAnswer,
}

/// One cell: a request, its outcome, and the time within which it ends.
pub type Cell = (Request, Outcome, Duration);

/// A server with a chain.
pub struct MatrixServer {
    pub name: &'static str,
    pub address: SocketAddr,
    /// The headers of the chain, the first of which is genesis.
    pub headers: Vec<BlockHeader>,
    /// A block of which the server has the header only.
    pub pruned: BlockHash,
    pub transaction: Tx,
}

impl MatrixServer {
    fn hash_at(&self, height: usize) -> BlockHash {
        self.headers[height].hash()
    }

    fn middle(&self) -> usize {
        self.headers.len() / 2
    }
}

/// Runs all requests against a server and compares their ends with the table.
///
/// # Panics
///
/// Lists all cells that differ. The table must have one cell for each request.
#[track_caller]
pub fn run(server: &MatrixServer, table: &[Cell]) {
    let requests: Vec<_> = table.iter().map(|(request, ..)| *request).collect();
    assert_eq!(requests, Request::ALL, "one cell for each request");
    let failures: Vec<_> = thread::scope(|scope| {
        let kinds = ClientKind::ALL.into_iter();
        let cells = kinds.flat_map(|kind| table.iter().map(move |cell| (kind, cell)));
        let checks: Vec<_> = cells
            .map(|(kind, cell)| scope.spawn(move || check(server, kind, cell)))
            .collect();
        let results = checks.into_iter().map(|check| check.join().unwrap());
        results.filter_map(Result::err).collect()
    });
    assert!(failures.is_empty(), "{}: {failures:#?}", server.name);
}

/// Compares the end of one request with its cell. Returns the difference as text.
fn check(
    server: &MatrixServer,
    kind: ClientKind,
    (request, outcome, bound): &Cell,
) -> Result<(), String> {
    let mut client = Client::dial(kind, server.address, &config());
    // The handshake is complete on both sides then.
    client
        .ping(ANSWER_TIMEOUT)
        .map_err(|error| error.to_string())?;
    let timeout = match outcome {
        Outcome::NoAnswer => NO_ANSWER_TIMEOUT,
        _ => ANSWER_TIMEOUT,
    };
    let started = Instant::now();
    let ended = perform(*request, server, &mut client, timeout);
    let elapsed = started.elapsed();
    match ended {
        Ok(ended) if ended == *outcome && elapsed <= *bound => Ok(()),
        ended => Err(format!(
            "{request:?} by {kind:?}: expected {outcome:?} within {bound:?}, got {ended:?} after \
             {elapsed:?}"
        )),
    }
}

fn config() -> ConnectionConfig {
    ConnectionConfig::new(Network::Regtest)
}

/// Sends a request. Returns its end, or an unexpected result as text.
fn perform(
    request: Request,
    server: &MatrixServer,
    client: &mut Client,
    timeout: Duration,
) -> Result<Outcome, String> {
    let unknown = BlockHash([0x77; 32]);
    let tip = server.headers.len() - 1;
    match request {
        Request::HeadersFromGenesis => headers_after(server, client, 0, timeout),
        Request::HeadersFromMiddle => headers_after(server, client, server.middle(), timeout),
        Request::HeadersAtTip => headers_after(server, client, tip, timeout),
        Request::HeadersFromUnknown => {
            // An SV Node answers with the headers after genesis.
            let headers = client.headers(&[unknown], timeout);
            outcome_of(headers, |found| match found.len() {
                0 => Ok(Outcome::Empty),
                len if found[..] == server.headers[1..=len] => Ok(Outcome::Headers(len)),
                _ => Err("other headers".to_owned()),
            })
        }
        Request::BlockPresent => block(client, server.hash_at(server.middle()), timeout),
        Request::BlockAbsent => block(client, unknown, timeout),
        Request::BlockPruned => block(client, server.pruned, timeout),
        Request::TransactionPresent => {
            let found = client.transactions(&[server.transaction.txid()], timeout);
            outcome_of(found, |found| match &found[..] {
                [Some(tx)] if *tx == server.transaction => Ok(Outcome::Value),
                other => Err(format!("{other:?}")),
            })
        }
        Request::TransactionAbsent => {
            let txids = [Txid([0x77; 32]), Txid([0x78; 32])];
            let found = client.transactions(&txids, timeout);
            outcome_of(found, |found| match &found[..] {
                [None, None] => Ok(Outcome::NotFound),
                other => Err(format!("{other:?}")),
            })
        }
        Request::Addresses => outcome_of(client.addresses(timeout), |found| {
            Ok(if found.is_empty() {
                Outcome::Empty
            } else {
                Outcome::Value
            })
        }),
        Request::Ping => outcome_of(client.ping(timeout), |_| Ok(Outcome::Value)),
        Request::BloomFilter => bloom_filter(server, client, timeout),
        Request::EnrichedHeaders => {
            let request = GetHdrsEn {
                version: 70016,
                locator: vec![server.hash_at(0)],
                stop: BlockHash::ZERO,
            };
            exchange(
                client,
                &[request.into()],
                timeout,
                |message| matches!(message, Message::HdrsEn(list) if !list.is_empty()),
            )
        }
    }
}

fn headers_after(
    server: &MatrixServer,
    client: &mut Client,
    height: usize,
    timeout: Duration,
) -> Result<Outcome, String> {
    let headers = client.headers(&[server.hash_at(height)], timeout);
    outcome_of(headers, |found| {
        let expected = server.headers.get(height + 1..=height + found.len());
        match found.len() {
            0 => Ok(Outcome::Empty),
            len if Some(&found[..]) == expected => Ok(Outcome::Headers(len)),
            len => Err(format!("{len} other headers")),
        }
    })
}

fn block(client: &mut Client, hash: BlockHash, timeout: Duration) -> Result<Outcome, String> {
    outcome_of(client.block(hash, timeout), |block| {
        if block.hash() == hash {
            Ok(Outcome::Value)
        } else {
            Err(format!("block {}", block.hash()))
        }
    })
}

fn bloom_filter(
    server: &MatrixServer,
    client: &mut Client,
    timeout: Duration,
) -> Result<Outcome, String> {
    let mut filter = BloomFilter::new(10, 0.001, 7, BloomFlags::NONE).expect("a filter");
    filter.insert(&[7; 32]);
    let entry = Inventory::FilteredBlock(server.hash_at(server.middle()));
    let messages = [filter.into(), GetData::from(vec![entry]).into()];
    exchange(client, &messages, timeout, |message| {
        matches!(message, Message::MerkleBlock(_))
    })
}

/// Sends messages and waits for a response that no request method of the library awaits.
fn exchange(
    client: &mut Client,
    messages: &[Message],
    timeout: Duration,
    is_answer: impl Fn(&Message) -> bool,
) -> Result<Outcome, String> {
    for message in messages {
        match client.send(message) {
            Ok(()) => {}
            Err(error) => return outcome_of(Err::<(), _>(error), |()| Ok(Outcome::Value)),
        }
    }
    Ok(if client.receives(timeout, is_answer)? {
        Outcome::Value
    } else {
        Outcome::NoAnswer
    })
}

fn outcome_of<T>(
    result: Result<T, Error>,
    check: impl FnOnce(T) -> Result<Outcome, String>,
) -> Result<Outcome, String> {
    match result {
        Ok(value) => check(value),
        Err(Error::NotFound { .. }) => Ok(Outcome::NotFound),
        Err(Error::Timeout {
            which: Timeout::Response,
            ..
        }) => Ok(Outcome::NoAnswer),
        Err(Error::Send { .. }) => Ok(Outcome::Refused),
        Err(other) => Err(other.to_string()),
    }
}
