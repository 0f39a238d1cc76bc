//! Common behavior of all examples: help, invalid usage, failures, closed pipes.

use std::io;

use bsv_p2p::local_node::LocalNode;

use crate::servers;
use crate::tool::{Tool, command, run};

/// A transaction without content.
const EMPTY: &str = "01000000000000000000";

/// The hash of a block.
const HASH: &str = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048";

/// A frame of mainnet.
pub(crate) const VERACK: &str = "e3e1f3e876657261636b000000000000000000005df6e0e2";

#[test]
fn help_lists_every_option_on_standard_output() {
    for (name, options) in [
        ("ping", &["HOST:PORT", "--count", "--json"][..]),
        (
            "headers",
            &["HOST:PORT", "--headers", "--out", "--timeout", "--json"],
        ),
        (
            "monitor",
            &[
                "--peer",
                "--seed",
                "--dns",
                "--default-port",
                "--listen",
                "--target",
                "--max",
                "--store",
                "--timeout",
                "--json",
            ],
        ),
        (
            "listen",
            &[
                "<ADDR>",
                "--handshakes-only",
                "--blocks",
                "--timeout",
                "--json",
            ],
        ),
        ("decode", &["HEX", "--json"]),
        (
            "broadcast",
            &[
                "<RAWTX>",
                "--peer",
                "--seed",
                "--dns",
                "--default-port",
                "--timeout",
                "--json",
            ],
        ),
        (
            "follow",
            &[
                "--peer",
                "--seed",
                "--dns",
                "--default-port",
                "--blocks",
                "--headers",
                "--timeout",
                "--json",
            ],
        ),
        (
            "crawl",
            &[
                "--peer",
                "--seed",
                "--dns",
                "--default-port",
                "--max-nodes",
                "--parallel",
                "--patience",
                "--pause",
                "--out",
                "--timeout",
                "--json",
            ],
        ),
        (
            "block",
            &[
                "<HASH>",
                "--out",
                "--peer",
                "--seed",
                "--dns",
                "--default-port",
                "--timeout",
                "--json",
            ],
        ),
        (
            "conform",
            &[
                "HOST:PORT",
                "--i-operate-this-node",
                "--force-port",
                "--include-bans",
                "--mine",
                "--rule",
                "--list",
                "--rate",
                "--timeout",
                "--json",
            ],
        ),
    ] {
        for help in ["--help", "-h"] {
            let ended = run(name, &[help]);
            ended.assert_success();
            let text = ended.lines.join("\n");
            let common = ["Usage:", "--network", "--help"];
            let networks = [
                "mainnet",
                "testnet",
                "stn",
                "regtest",
                "teratestnet",
                "tstn",
            ];
            let agent: &[_] = match name {
                "decode" => &[],
                _ => &["--user-agent", "/bsv-p2p:0.1.0(Bitcoin SV)/"],
            };
            for wanted in options.iter().chain(&common).chain(&networks).chain(agent) {
                assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
            }
        }
    }
}

const TOOLS: [&str; 10] = [
    "block",
    "broadcast",
    "conform",
    "crawl",
    "decode",
    "follow",
    "headers",
    "listen",
    "monitor",
    "ping",
];

#[test]
fn version_is_printed_on_standard_output() {
    for name in TOOLS {
        for option in ["--version", "-V"] {
            let ended = run(name, &[option]);
            ended.assert_success();
            let version = env!("CARGO_PKG_VERSION");
            assert_eq!(ended.lines, [format!("{name} {version}")]);
        }
    }
}

#[test]
fn help_is_wrapped_to_the_terminal() {
    for name in TOOLS {
        for (columns, width) in [(Some("60"), 60), (None, 100)] {
            let mut command = command(name, &["--help"]);
            command.envs(columns.map(|columns| ("COLUMNS", columns)));
            let ended = Tool::of(name, command.spawn().unwrap()).finish();
            ended.assert_success();
            for line in ended
                .lines
                .iter()
                .filter(|line| !line.starts_with("Usage:"))
            {
                assert!(line.chars().count() <= width, "{name}: {line}");
            }
        }
    }
}

#[test]
fn node_can_be_named_by_peer_option() {
    let node = LocalNode::start().unwrap();
    let peer = node.address().to_string();
    for (name, arguments) in [
        ("ping", &["--count", "1"][..]),
        ("headers", &[]),
        ("conform", &["--rule", "ping-nonce"]),
    ] {
        let common = ["--peer", &peer, "--network", "regtest"];
        run(name, &[&common, arguments].concat()).assert_success();
        let twice = run(name, &[&common[..], &["127.0.0.1"]].concat());
        twice.assert_failure(2, "cannot be used with");
    }
}

#[test]
fn decode_accepts_json_option() {
    let ended = run("decode", &[VERACK, "--json"]);
    ended.assert_success();
    assert_eq!(ended.lines, run("decode", &[VERACK]).lines);
}

#[test]
fn invalid_usage_is_one_line_with_status_2() {
    for (name, arguments, said) in [
        ("ping", &[][..], "<HOST:PORT>"),
        ("headers", &[], "<HOST:PORT>"),
        ("ping", &["127.0.0.1", "--unknown"], "--unknown"),
        ("headers", &["127.0.0.1", "--unknown"], "--unknown"),
        ("monitor", &["--unknown"], "--unknown"),
        ("ping", &["127.0.0.1", "127.0.0.2"], "127.0.0.2"),
        ("monitor", &["127.0.0.1"], "127.0.0.1"),
        ("ping", &["127.0.0.1", "--count", "0"], "--count"),
        ("ping", &["127.0.0.1", "--count", "-1"], "-1"),
        ("ping", &["127.0.0.1", "--count", "many"], "many"),
        ("ping", &["127.0.0.1", "--count"], "--count"),
        (
            "ping",
            &["127.0.0.1", "--network", "moon"],
            "mainnet, testnet, stn, regtest",
        ),
        ("headers", &["127.0.0.1", "--network", "Regtest"], "Regtest"),
        ("headers", &["127.0.0.1", "--out"], "--out"),
        ("headers", &["127.0.0.1", "--headers"], "--headers"),
        ("headers", &["127.0.0.1", "--timeout", "0"], "--timeout"),
        (
            "ping",
            &["127.0.0.1", "--user-agent", "/wallet:1/"],
            "Teranode bans user agents",
        ),
        (
            "monitor",
            &["--user-agent", "/abc(BSV)/"],
            "SV Node bans user agents",
        ),
        ("monitor", &["--network", "two\n\nlines"], "two"),
        ("monitor", &["--peer"], "--peer"),
        ("monitor", &["--timeout", "soon"], "soon"),
        ("monitor", &["--timeout", "-1"], "-1"),
        ("monitor", &["--timeout", "NaN"], "NaN"),
        ("monitor", &["--network", "mainnet"], "--peer"),
        (
            "monitor",
            &["--network", "testnet", "--timeout", "1"],
            "--peer",
        ),
        ("monitor", &["--network", "stn", "--json"], "--peer"),
        (
            "monitor",
            &["--target", "5", "--max", "4"],
            "--target 5 is above --max 4",
        ),
        ("monitor", &["--target", "21"], "--max 20"),
        ("monitor", &["--max", "0"], "--max"),
        ("monitor", &["--max", "-1"], "-1"),
        ("monitor", &["--target", "many"], "many"),
        ("monitor", &["--seed"], "--seed"),
        (
            "monitor",
            &["--seed", "seed.test", "--peer", "127.0.0.1"],
            "--peer 127.0.0.1 cannot be combined",
        ),
        (
            "monitor",
            &["--dns", "127.0.0.1", "--network", "regtest"],
            "regtest has no DNS seeds",
        ),
        ("monitor", &["--listen"], "--listen"),
        ("monitor", &["--store"], "--store"),
        ("listen", &[], "<ADDR>"),
        ("listen", &["127.0.0.1:0", "127.0.0.1:0"], "127.0.0.1:0"),
        ("listen", &["127.0.0.1:0", "--unknown"], "--unknown"),
        ("listen", &["127.0.0.1:0", "--timeout", "-1"], "-1"),
        ("listen", &["127.0.0.1:0", "--blocks", "5001"], "5001"),
        (
            "listen",
            &["127.0.0.1:0", "--network", "mainnet"],
            "--handshakes-only",
        ),
        (
            "listen",
            &["127.0.0.1:0", "--handshakes-only", "--blocks", "1"],
            "--blocks",
        ),
        ("decode", &["--unknown"], "--unknown"),
        ("decode", &["00", "00"], "00"),
        ("decode", &[""], "[HEX]"),
        ("decode", &[" "], "[HEX]"),
        ("decode", &["--network", "moon", "00"], "regtest"),
        ("decode", &["--network"], "--network"),
        ("broadcast", &[], "<RAWTX>"),
        ("broadcast", &["00"], "invalid transaction"),
        (
            "broadcast",
            &[EMPTY, "--network", "regtest"],
            "regtest has no DNS seeds",
        ),
        ("follow", &["127.0.0.1"], "127.0.0.1"),
        (
            "follow",
            &["--network", "regtest"],
            "regtest has no DNS seeds",
        ),
        ("follow", &["--blocks", "0"], "--blocks"),
        ("follow", &["--timeout", "NaN"], "NaN"),
        ("follow", &["--headers"], "--headers"),
        ("crawl", &["127.0.0.1"], "127.0.0.1"),
        (
            "crawl",
            &["--network", "regtest"],
            "regtest has no DNS seeds",
        ),
        ("crawl", &["--max-nodes", "0"], "--max-nodes"),
        ("crawl", &["--parallel", "0"], "--parallel"),
        ("crawl", &["--parallel", "257"], "257"),
        ("crawl", &["--patience", "-1"], "-1"),
        ("crawl", &["--pause", "soon"], "soon"),
        ("crawl", &["--out", "picture.png"], ".svg or .html"),
        ("block", &[], "<HASH>"),
        ("block", &[HASH], "--out"),
        ("block", &["--out", "FILE", "00"], "64 hexadecimal digits"),
        (
            "block",
            &["--out", "FILE", HASH, "--network", "regtest"],
            "regtest has no DNS seeds",
        ),
        (
            "block",
            &["--out", "FILE", HASH, "--dns", "localhost"],
            "IP address",
        ),
        (
            "block",
            &["--out", "FILE", HASH, "--dns", "127.0.0.1:0"],
            "port 0",
        ),
        (
            "block",
            &["--out", "FILE", HASH, "--default-port", "0"],
            "--default-port",
        ),
        (
            "block",
            &["--out", "FILE", HASH, "--default-port", "65536"],
            "65536",
        ),
        ("block", &["--out", "FILE", HASH, "--timeout", "-1"], "-1"),
        ("conform", &[], "<HOST:PORT>"),
        ("conform", &["127.0.0.1"], "--i-operate-this-node"),
        (
            "conform",
            &["--list", "--rule", "no-such-rule"],
            "no-such-rule",
        ),
        (
            "conform",
            &[
                "127.0.0.1",
                "--network",
                "stn",
                "--i-operate-this-node",
                "--force-port",
                "--mine",
            ],
            "--mine",
        ),
        ("conform", &["127.0.0.1", "--rate", "0"], "--rate"),
        ("conform", &["127.0.0.1", "--rate", "1001"], "1001"),
        ("conform", &["127.0.0.1", "--rate", "NaN"], "NaN"),
        ("conform", &["127.0.0.1", "--timeout", "0"], "--timeout"),
    ] {
        let ended = run(name, arguments);
        ended.assert_failure(2, said);
        assert!(ended.lines.is_empty(), "{name} {arguments:?}: {ended:#?}");
    }
}

/// The line names the peer and the reason.
#[test]
fn failure_is_one_line_with_status_1() {
    let node = LocalNode::start().unwrap();
    let regtest = node.address().to_string();
    let (_closed, closed) = servers::closed_port();
    let (http, hangs_up) = (servers::http(), servers::hangs_up());
    for (peer, network, said) in [
        (&closed[..], "regtest", "refused"),
        (&http, "mainnet", "HTTP"),
        (&hangs_up, "stn", "connection closed by peer"),
        (&regtest, "mainnet", "connection closed by peer"),
        (&regtest, "testnet", "connection closed by peer"),
        ("no-such-name.invalid:1", "regtest", "could not be resolved"),
        ("127.0.0.1:port", "regtest", "invalid peer name"),
        ("127.0.0.1:65536", "regtest", "invalid peer name"),
        (
            "localhost:99999",
            "regtest",
            "expected a port from 0 to 65535, got \"99999\"",
        ),
        ("", "regtest", "invalid peer name"),
    ] {
        for name in ["ping", "headers"] {
            let ended = run(name, &[peer, "--network", network, "--json"]);
            ended.assert_failure(1, said);
            ended.assert_failure(1, peer);
            assert!(ended.lines.is_empty(), "{name} {peer}: {ended:#?}");
        }
        // The monitor reports this as an event. It fails because no peer is left.
        let ended = run("monitor", &["--peer", peer, "--network", network]);
        ended.assert_failure(1, "no peer is left");
        let event = ended
            .lines
            .iter()
            .find(|line| line.contains("connection failed"));
        let event = event.unwrap_or_else(|| panic!("{ended:#?}"));
        assert!(event.starts_with(peer) && event.contains(said), "{event}");
    }
    // An invalid listen address fails, too.
    for (name, said) in [
        ("127.0.0.1:port", "invalid peer name"),
        ("no-such-name.invalid:1", "could not be resolved"),
    ] {
        run("listen", &[name]).assert_failure(1, said);
        run("monitor", &["--listen", name]).assert_failure(1, said);
    }
    // Without --network it is mainnet.
    for name in ["ping", "headers"] {
        run(name, &[&regtest]).assert_failure(1, "connection closed by peer");
    }
    run("monitor", &["--peer", &regtest]).assert_failure(1, "no peer is left");
}

#[test]
fn closed_output_pipe_is_no_failure() {
    let node = LocalNode::start().unwrap();
    let regtest = node.address().to_string();
    for (name, arguments) in [
        ("ping", &["--help"][..]),
        ("monitor", &["--help"]),
        ("decode", &[VERACK]),
        ("decode", &["00"]),
        ("ping", &[&regtest, "--network", "regtest", "--count", "1"]),
        (
            "ping",
            &[&regtest, "--network", "regtest", "--count", "1", "--json"],
        ),
        ("headers", &[&regtest, "--network", "regtest"]),
        ("monitor", &["--peer", &regtest, "--network", "regtest"]),
        (
            "monitor",
            &["--peer", &regtest, "--network", "regtest", "--json"],
        ),
        ("conform", &["--list"]),
        ("conform", &[&regtest, "--network", "regtest"]),
        ("conform", &[&regtest, "--network", "regtest", "--json"]),
        ("monitor", &[]),
        ("monitor", &["--listen", "127.0.0.1:0"]),
        ("listen", &["127.0.0.1:0"]),
        ("listen", &["127.0.0.1:0", "--json"]),
        ("block", &["--help"]),
        ("follow", &["--peer", &regtest, "--network", "regtest"]),
        (
            "broadcast",
            &[EMPTY, "--peer", &regtest, "--network", "regtest"],
        ),
        (
            "follow",
            &["--peer", &regtest, "--network", "regtest", "--json"],
        ),
        (
            "crawl",
            &[
                "--peer",
                &regtest,
                "--network",
                "regtest",
                "--patience",
                "0",
            ],
        ),
        (
            "crawl",
            &[
                "--peer",
                &regtest,
                "--network",
                "regtest",
                "--patience",
                "0",
                "--json",
            ],
        ),
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let child = command(name, arguments).stdout(writer).spawn().unwrap();
        Tool::of(name, child).finish().assert_success();
        // Nobody reads standard error either.
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let child = command(name, &["--unknown"])
            .stderr(writer)
            .spawn()
            .unwrap();
        Tool::of(name, child).finish().assert_status(2);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_a_failure() {
    let node = LocalNode::start().unwrap();
    let regtest = node.address().to_string();
    for (name, arguments) in [
        ("ping", &["--help"][..]),
        ("decode", &[VERACK]),
        ("ping", &[&regtest, "--network", "regtest", "--count", "1"]),
        ("headers", &[&regtest, "--network", "regtest", "--json"]),
        ("conform", &["--list"]),
        ("conform", &[&regtest, "--network", "regtest"]),
        ("monitor", &["--peer", &regtest, "--network", "regtest"]),
        ("monitor", &["--listen", "127.0.0.1:0"]),
        ("listen", &["127.0.0.1:0"]),
        ("follow", &["--peer", &regtest, "--network", "regtest"]),
        (
            "broadcast",
            &[EMPTY, "--peer", &regtest, "--network", "regtest"],
        ),
        (
            "crawl",
            &[
                "--peer",
                &regtest,
                "--network",
                "regtest",
                "--patience",
                "0",
            ],
        ),
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let child = command(name, arguments).stdout(full.unwrap()).spawn();
        let ended = Tool::of(name, child.unwrap()).finish();
        ended.assert_failure(1, "No space left on device");
    }
}
