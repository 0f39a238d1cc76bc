//! The test vectors as inputs of the fuzz targets. Each target documents the meaning of its bytes.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::targets::commands::NAMES;

/// The maximum length of a vector in the inputs.
const LONGEST: usize = 20_000;

/// Returns the inputs of a target.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    let vectors = all();
    match target {
        "frames" => frames(&vectors),
        "header_chain" => header_chain(),
        "header_file" => header_file(),
        "messages" => vectors
            .iter()
            .map(|vector| [&[vector.number()], &vector.payload[..]].concat())
            .collect(),
        "reconstruction" => reconstruction(&vectors),
        "session" => session(&vectors),
        "views" => views(&vectors),
        _ => Vec::new(),
    }
}

struct Vector {
    /// The index of its network in the list of the target.
    network: u8,
    /// The stream of the frame. Single frames have none.
    stream: Option<(u64, String)>,
    command: String,
    payload: Vec<u8>,
    frame: Vec<u8>,
}

impl Vector {
    /// Returns the number of its command, or an unknown number.
    fn number(&self) -> u8 {
        let at = NAMES.iter().position(|name| *name == self.command);
        at.unwrap_or(NAMES.len()) as u8
    }
}

fn all() -> Vec<Vector> {
    let made = file("messages.json");
    let capture = file("capture-regtest.json");
    let made = made.as_array().unwrap().iter().map(|vector| Vector {
        network: match vector["network"].as_str().unwrap() {
            "main" => 0,
            "test" => 1,
            "stn" => 2,
            _ => 3,
        },
        stream: None,
        command: vector["command"].as_str().unwrap().to_owned(),
        payload: bytes(&vector["payload_hex"]),
        frame: bytes(&vector["frame_hex"]),
    });
    let recorded = capture["frames"].as_array().unwrap();
    let recorded = recorded.iter().map(|recorded| {
        let frame = bytes(&recorded["frame_hex"]);
        Vector {
            network: 3,
            stream: Some((
                recorded["tcp_connection"].as_u64().unwrap(),
                recorded["from"].as_str().unwrap().to_owned(),
            )),
            command: recorded["command"].as_str().unwrap().to_owned(),
            payload: frame[24..].to_vec(),
            frame,
        }
    });
    made.chain(recorded)
        .filter(|vector| vector.frame.len() <= LONGEST)
        .collect()
}

fn file(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// Each frame alone, and the recorded streams, with unchanged checksums.
fn frames(vectors: &[Vector]) -> Vec<Vec<u8>> {
    let mut streams: BTreeMap<&(u64, String), Vec<u8>> = BTreeMap::new();
    let mut inputs = Vec::new();
    for (at, vector) in vectors.iter().enumerate() {
        match &vector.stream {
            Some(stream) => streams.entry(stream).or_default().extend(&vector.frame),
            None => {
                let small_limits = at as u8 & 1;
                let head = [vector.network << 2 | small_limits, 0, 0, 3, 20, 0, 9];
                inputs.push([&head, &vector.frame[..]].concat());
            }
        }
    }
    let head = [3 << 2, 0, 0, 4, 2, 201, 0, 100];
    inputs.extend(streams.values().map(|stream| [&head, &stream[..]].concat()));
    // A payload of padding that is read directly into its own buffer. Its checksum must be fixed.
    // The caller reads twice.
    let mut header = vec![2 | 16, 255, 255, 4, 24, 201, 202, 0];
    header.extend(b"\xe3\xe1\xf3\xe8block\0\0\0\0\0\0\0");
    header.extend(200_000_u32.to_le_bytes());
    header.extend([0; 4]);
    inputs.push(header);
    // A busy peer pauses within a header: the large arrival buffer is released, and its content
    // kept.
    let mut silence = vec![2, 0, 0, 2, 208, 0];
    for len in [8192 - 24 - 10, 1_u32] {
        silence.extend(b"\xe3\xe1\xf3\xe8foobar\0\0\0\0\0\0");
        silence.extend(len.to_le_bytes());
        silence.resize(silence.len() + 4 + len as usize, 0);
    }
    inputs.push(silence);
    inputs
}

/// Returns two branches that overtake each other, with each capacity, with and without a
/// checkpoint, and with each flaw.
fn header_chain() -> Vec<Vec<u8>> {
    let settings = (0..8).flat_map(|settings| (0..8).map(move |flaw| (settings, flaw)));
    let with = |(settings, flaw): (u8, u8)| {
        let mut input = vec![settings];
        input.extend([0, 0, 3, 0, 21, 0]);
        input.extend([0, 3, 0x14, 1, 21, 0]);
        input.extend([0, 5, 0x22, 2, 0, 0]);
        input.extend([flaw, 0, 0x27, 3, 60, 4]);
        input.extend([flaw, 12, 0x0f, 4, 30, 0]);
        input.extend([0, 0, 0x3f, 5, 21, 9]);
        input
    };
    settings.map(with).collect()
}

/// Files of each network, valid and with each kind of edit.
fn header_file() -> Vec<Vec<u8>> {
    let edits: [&[u8]; 6] = [
        &[],
        &[0, 100, 0, 1],
        &[0, 72, 0, 1],
        &[1, 200, 0, 0],
        &[2, 0, 0, 3, 1, 2, 3],
        &[3, 2, 0, 0],
    ];
    let networks = (0..4).flat_map(|network| edits.map(|edit| (network, edit)));
    networks
        .map(|(network, edit)| [&[network, 9], edit].concat())
        .collect()
}

/// Each message after a handshake, inbound and outbound in turn, then an answered ping and a
/// timeout check.
fn session(vectors: &[Vector]) -> Vec<Vec<u8>> {
    let with = |(at, vector): (usize, &Vector)| {
        let len = u16::try_from(vector.payload.len()).unwrap().to_le_bytes();
        let mut input = vec![at as u8 & 1, 3, 1, 0, 4, 5, 0, 1, 6];
        input.extend([2, vector.number(), len[0], len[1]]);
        input.extend(&vector.payload);
        input.extend([8, 6, 15, 6, 8, 8]);
        input
    };
    vectors.iter().enumerate().map(with).collect()
}

/// Blocks, unchanged and with a duplicate transaction, transactions, and each transaction after
/// each filter.
fn views(vectors: &[Vector]) -> Vec<Vec<u8>> {
    let of = |command: &'static str| {
        vectors
            .iter()
            .filter(move |vector| vector.command == command)
            .map(|vector| &vector.payload[..])
    };
    let mut inputs = Vec::new();
    inputs.extend(of("block").map(|block| [&[0], block].concat()));
    // The header, the number of transactions, and the transactions.
    let alone = of("block").filter(|block| block.get(80) == Some(&1));
    inputs
        .extend(alone.map(|block| [&[3], &block[..80], &[2], &block[81..], &block[81..]].concat()));
    inputs.extend(of("tx").map(|tx| [&[1], tx].concat()));
    for filter in of("filterload") {
        let len = u16::try_from(filter.len()).unwrap().to_le_bytes();
        inputs.extend(of("tx").map(|tx| [&[2], &len[..], filter, tx].concat()));
    }
    inputs
}

/// Each compact block with every transaction as a candidate, or with every response; each request;
/// and blocks with chosen positions and candidates, valid and invalid.
fn reconstruction(vectors: &[Vector]) -> Vec<Vec<u8>> {
    let of = |command: &str| -> Vec<Vec<u8>> {
        let vectors = vectors.iter().filter(|vector| vector.command == command);
        vectors
            .map(|vector| behind_length(&vector.payload))
            .collect()
    };
    let candidates: Vec<Vec<u8>> = of("tx")
        .iter()
        .map(|tx| [&[253, 255], &tx[..]].concat())
        .collect();
    let candidates = [&[candidates.len() as u8], &candidates.concat()[..]].concat();
    let answers: Vec<Vec<u8>> = of("blocktxn")
        .iter()
        .map(|answer| [&[3], &answer[..]].concat())
        .collect();
    let mut inputs = Vec::new();
    for compact in of("cmpctblock") {
        let head = [&[2, 0, 0], &compact[..]].concat();
        inputs.push([&head[..], &candidates].concat());
        inputs.push([&head[..], &[0], &answers.concat()].concat());
    }
    let questions = of("getblocktxn");
    let questions = questions
        .iter()
        .map(|question| [&[0, 9, 7, 0, 16], &question[..]].concat());
    inputs.extend(questions);
    inputs.extend([
        // All transactions are candidates; then too many for the maximum block size.
        vec![0, 4, 7, 3, 1, 1, 2, 2, 3, 3],
        vec![4, 4, 7, 39, 3, 1, 1, 2, 2, 3, 3],
        // Responses with the wrong number or order, for another block, or with other transactions;
        // then the right one, twice.
        vec![0, 5, 7, 1, 2, 2, 2, 1, 1, 1, 8, 2, 3, 1, 3, 3, 0, 0],
        // One of the candidates does not match its name.
        vec![0, 4, 7, 3, 1, 1, 2, 3, 3, 3],
        // Two candidates have the same short ID. The right transaction is requested.
        vec![1, 3, 7, 3, 5, 3, 0, 3, 254, 1, 255, 0, 2, 2, 0],
        // One of them twice.
        vec![1, 3, 7, 3, 5, 3, 0, 3, 254, 1, 254, 1, 2, 2],
        // PrefilledTransaction between short IDs; an impossible position; an empty one; a repeated one; no
        // target.
        vec![1, 8, 7, 8, 0, 4, 0, 0, 4, 4, 0, 4, 2, 3, 3, 2, 2, 0],
        vec![1, 4, 7, 4, 4, 0, 0, 7, 3, 0, 0],
        vec![1, 4, 7, 4, 4, 0, 0, 7, 0xff, 0xff, 0],
        vec![1, 4, 7, 4, 6, 0, 0, 0, 0],
        vec![1, 3, 7, 4, 4, 4, 4, 12, 2, 0],
        vec![1, 3, 7, 4, 4, 0, 8, 1, 0, 0],
        vec![1, 3, 7, 0x83, 4, 0, 0, 0],
    ]);
    inputs
}

fn behind_length(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_le_bytes();
    [&len, payload].concat()
}
