//! `ping`.

use bsv_p2p::local_node::LocalNode;

use crate::tool::{Tool, integer, number, object, run, text};

#[test]
fn ping_json_is_one_object_with_times() {
    let node = LocalNode::start().unwrap();
    node.mine(7).unwrap();
    let address = node.address().to_string();
    let ended = run(
        "ping",
        &[&address, "--network", "regtest", "--count", "2", "--json"],
    );
    ended.assert_success();
    let [line] = &ended.lines[..] else {
        panic!("{ended:#?}");
    };
    let object = object(line);
    assert_eq!(text(&object, "event"), "Summary");
    assert_eq!(text(&object, "peer"), address);
    assert_eq!(text(&object, "user_agent"), "/bsv-p2p:0.1.0(Bitcoin SV)/");
    assert_eq!(integer(&object, "version"), 70016);
    assert_eq!(integer(&object, "services"), 1);
    assert_eq!(integer(&object, "height"), 7);
    let [min, avg, max] = ["min_ms", "avg_ms", "max_ms"].map(|field| number(&object, field));
    assert!(0.0 < min && min <= avg && avg <= max, "{object}");
    assert!(max < 30_000.0, "in milliseconds: {object}");
}

#[test]
fn ping_text_shows_node_and_round_trips() {
    let node = LocalNode::start().unwrap();
    node.mine(7).unwrap();
    let address = node.address().to_string();
    let ended = run("ping", &[&address, "--network", "regtest", "--count", "2"]);
    ended.assert_success();
    let [who, first, second, all] = &ended.lines[..] else {
        panic!("{ended:#?}");
    };
    assert_eq!(
        who,
        &format!(
            "{address}: /bsv-p2p:0.1.0(Bitcoin SV)/, version 70016, services NETWORK, height 7"
        )
    );
    assert!(
        first.starts_with("ping 1: ") && first.ends_with(" ms"),
        "{first}"
    );
    assert!(
        second.starts_with("ping 2: ") && second.ends_with(" ms"),
        "{second}"
    );
    for name in ["min ", ", avg ", ", max "] {
        assert!(all.contains(name), "{all}");
    }
}

#[test]
fn ping_fails_when_node_disconnects() {
    let node = LocalNode::start().unwrap();
    let address = node.address().to_string();
    let ping = Tool::start(
        "ping",
        &[&address, "--network", "regtest", "--count", "1000"],
    );
    ping.line_with("ping 1: ");
    drop(node);
    let ended = ping.finish();
    ended.assert_failure(1, &address);
    ended.assert_failure(1, "connection closed by peer");
}
