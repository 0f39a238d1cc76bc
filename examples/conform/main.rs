//! Command-line tool that checks whether a node follows the rules of the wire protocol.
//!
//! Each rule runs on fresh connections and compares the behavior of the node with that of SV Node 1.2.2.
//!
//! | result | meaning |
//! | --- | --- |
//! | `pass` | the node follows the rule |
//! | `different` | the node behaves differently, as its software is known to: a Teranode, or an SV Node before 1.2.2 |
//! | `fail` | the node behaves differently, or accepts no new connection afterwards |
//! | `skipped` | the rule was not run, for the reason given |
//!
//! Invalid messages raise the ban score of a connection at the node. Only rules that `--include-bans` adds reach the default threshold on
//! one connection. They run last, and the run ends when the node closes a new connection immediately.
//!
//! # Known differences
//!
//! The tests run all rules against SV Node 1.0.13 and against the `LocalNode` of this crate, and expect exactly these differences:
//!
//! | server | rule | behavior |
//! | --- | --- | --- |
//! | SV Node 1.0.13 | `inv-invalid-type` | ignores the entry; later versions disconnect |
//! | `LocalNode` | `features-by-version` | sends no `sendcmpct`, because it requests no compact blocks |
//! | `LocalNode` | `inv-block` | requests headers without a stop hash, to receive all that follow |
//! | `LocalNode` | `tx-orphan` | requests parents only with `LocalNodeConfig::keep_orphans` |
//! | `LocalNode` | `createstrm-data2-to-data4` | accepts one additional stream, because no stream policy uses more |
//!
//! A `LocalNode` that acts as a Teranode fails no rule. Its results are `different` for the same rules as those of a Teranode.

use std::process::ExitCode;
use std::time::Duration;

use bsv_p2p::Network;
use bsv_p2p::connection::resolve;
use clap::Parser;

#[path = "../shared/dial.rs"]
mod dial;
#[path = "../shared/milliseconds.rs"]
mod milliseconds;
#[path = "../shared/node.rs"]
mod named_node;
#[path = "../shared/plural.rs"]
mod plural;
#[path = "../shared/mod.rs"]
mod shared;
#[path = "../shared/user_agent.rs"]
mod user_agent;

mod finding;
mod messages;
mod node;
mod pace;
mod probe;
mod report;
mod rule;
mod rules;
mod run;

use dial::Dial;
use named_node::NamedNode;
use node::Endpoint;
use pace::{Pace, rate};
use report::Report;
use rule::Rule;
use run::Run;
use shared::WrongUsage;

/// Check whether a node follows the rules of the Bitcoin SV wire protocol.
///
/// Each rule runs on fresh connections. The results are compared with the behavior of SV Node 1.2.2.
/// The exit status is 0 if no rule failed, 1 if a rule failed or the node cannot be reached, and 2
/// for wrong usage.
///
/// Many rules send invalid messages. Run it against your own node only.
#[derive(Parser)]
#[command(name = "conform", version)]
#[command(mut_group("named_node", |node| node.required(false)))]
struct Arguments {
    #[command(flatten)]
    node: NamedNode,
    /// Confirm that the node is yours. Required on public networks
    #[arg(long)]
    i_operate_this_node: bool,
    /// Also run the rules for which the node bans this address for a day. They run last, and the run
    /// ends at the first ban
    #[arg(long)]
    include_bans: bool,
    /// Also run the rules that extend the chain of the node. On regtest only
    #[arg(long)]
    mine: bool,
    /// Run this rule only. Can be repeated
    #[arg(long, value_name = "ID")]
    rule: Vec<String>,
    /// List all rules and exit
    #[arg(long)]
    list: bool,
    /// The maximum number of connections opened per second
    #[arg(long, value_name = "N", default_value = "5", value_parser = rate)]
    rate: f64,
    /// The maximum duration of one connection, in seconds
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=HOUR))]
    timeout: u64,
    #[command(flatten)]
    dial: Dial,
}

/// The maximum duration of the resolution of the node's name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest timeout, in seconds.
const HOUR: u64 = 3600;

fn main() -> ExitCode {
    shared::run(conform)
}

fn conform(arguments: Arguments) -> Result<(), shared::Failure> {
    let rules = selected(&arguments.rule)?;
    let common = &arguments.dial.common;
    let mut report = Report::new(common.json);
    if arguments.list {
        return Ok(report.list(&rules)?);
    }
    let name = arguments.node.name()?;
    let network = common.network_or(Network::Mainnet);
    if is_public(&network) && !arguments.i_operate_this_node {
        let error = "is a public network: --i-operate-this-node is required to confirm that the node is yours";
        return Err(WrongUsage(format!("{network} {error}")).into());
    }
    if arguments.mine && network != Network::Regtest {
        return Err(WrongUsage(format!("--mine is for regtest, not for {network}")).into());
    }
    if arguments.include_bans {
        report.warn("--include-bans gets this address banned by the node for 24 hours")?;
    }
    let addresses = resolve(name, network.port(), RESOLVE_TIMEOUT)?;
    let address = *addresses.first().ok_or("name has no address")?;
    let config = arguments.dial.connection_config(network.clone());
    config.check_port(address)?;
    let endpoint = Endpoint {
        address,
        network,
        may_mine: arguments.mine,
        user_agent: config.session.user_agent,
        timeout: Duration::from_secs(arguments.timeout),
        pace: Pace::new(arguments.rate),
    };
    let run = Run::start(endpoint, rules, arguments.include_bans)?;
    report.node(run.node())?;
    for outcome in run {
        report.rule(&outcome)?;
    }
    report.finish()
}

/// Returns whether the network has nodes of other operators.
fn is_public(network: &Network) -> bool {
    !matches!(network.magic().network(), None | Some(Network::Regtest))
}

/// Returns the rules with these ids, or all rules if there are none.
fn selected(ids: &[String]) -> Result<Vec<Rule>, WrongUsage> {
    let all = rules::all();
    if let Some(unknown) = ids.iter().find(|id| all.iter().all(|rule| rule.id != **id)) {
        return Err(WrongUsage(format!("rule {unknown} not found (see --list)")));
    }
    let is_selected = |rule: &Rule| ids.is_empty() || ids.iter().any(|id| id == rule.id);
    Ok(all.into_iter().filter(is_selected).collect())
}
