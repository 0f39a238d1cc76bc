//! A real Bitcoin SV node on regtest, started and stopped by the tests.
//!
//! The node is the program given by the environment variable `BSV_NODE`. The script
//! `.ci/fetch-real-node` downloads it. Tests that use this module are marked `#[ignore]`, so that
//! plain `cargo test` needs no node.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The time limit from the start of the node to its first response. It usually takes a second.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The time limit of the exit after `stop`. It usually takes less than a second.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(60);

/// The timeout of an RPC, including the transfer of a large block.
const RPC_DEADLINE: Duration = Duration::from_secs(60);

/// The time for which `restart` waits for its ports when another program uses them.
const PORTS_DEADLINE: Duration = Duration::from_secs(30);

/// The number of attempts of `start` when the chosen ports were taken in between.
const START_ATTEMPTS: usize = 5;

/// The number of log lines that a failure shows.
const SHOWN_LINES: usize = 80;

/// The polling interval.
const PAUSE: Duration = Duration::from_millis(20);

/// The regtest address that receives the rewards of the blocks mined by `generate`.
const MINING_ADDRESS: &str = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8";

/// A running node with its own ports and data folder. Dropping it kills it, and prints the end of
/// its log if the test has failed.
pub struct RealNode {
    binary: PathBuf,
    options: Vec<String>,
    folder: TempDir,
    p2p_port: u16,
    rpc_port: u16,
    rpc_url: String,
    rpc_password: String,
    process: Mutex<Option<Child>>,
}

/// The reason why the node did not start.
enum LaunchError {
    /// Another program uses one of the ports.
    PortTaken(String),
    /// Anything else.
    Failed(String),
}

/// The result of a condition of [`RealNode::wait_until`]: `bool`, or `Option<T>` for a value.
pub trait Condition {
    /// The result of the wait.
    type Value;

    /// Returns the value if the condition holds.
    fn met(self) -> Option<Self::Value>;
}

impl Condition for bool {
    type Value = ();

    fn met(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Condition for Option<T> {
    type Value = T;

    fn met(self) -> Option<T> {
        self
    }
}

impl RealNode {
    /// Starts a node with these options added to the needed ones, and returns when it answers
    /// and listens.
    pub fn start(options: &[&str]) -> Self {
        let mut failures = String::new();
        for _ in 0..START_ATTEMPTS {
            let node = Self::prepare(options);
            match node.launch() {
                Ok(()) => return node,
                Err(LaunchError::PortTaken(why)) => failures = why,
                Err(LaunchError::Failed(why)) => panic!("{why}"),
            }
        }
        panic!("no free ports for the node in {START_ATTEMPTS} attempts: {failures}");
    }

    /// Returns the address of the node for peers.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.p2p_port))
    }

    /// Calls the node and returns the result. Panics with the error text of the node.
    #[track_caller]
    pub fn rpc(&self, method: &str, params: Value) -> Value {
        match self.try_rpc(method, params) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// Calls the node and returns the result, or the error as text. A stopped process makes
    /// this fail after a minute.
    pub fn try_rpc(&self, method: &str, params: Value) -> Result<Value, String> {
        let request = json!({"jsonrpc": "1.0", "id": 0, "method": method, "params": params});
        result_of(method, self.post(method, &request)?)
    }

    /// Calls a method once for each entry of `params`, in one request. Returns the results in this
    /// order. A batch of thousands of calls takes as long as a few single calls.
    #[track_caller]
    pub fn rpc_batch(&self, method: &str, params: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let call =
            |(id, params)| json!({"jsonrpc": "1.0", "id": id, "method": method, "params": params});
        let requests: Vec<Value> = params.into_iter().enumerate().map(call).collect();
        let answers = match self.post(method, &json!(requests)) {
            Ok(Value::Array(answers)) => answers,
            other => panic!("{method}: no list of answers: {other:?}"),
        };
        assert_eq!(answers.len(), requests.len(), "{method}: answers");
        let result = |(id, answer): (usize, Value)| {
            assert_eq!(
                answer["id"],
                json!(id),
                "{method}: the order of the answers"
            );
            result_of(method, answer).unwrap_or_else(|error| panic!("{error}"))
        };
        answers.into_iter().enumerate().map(result).collect()
    }

    /// Sends a request to the node and returns its response.
    fn post(&self, method: &str, request: &Value) -> Result<Value, String> {
        let mut response = agent()
            .post(&self.rpc_url)
            .send_json(request)
            .map_err(|error| format!("{method}: {error}"))?;
        let status = response.status();
        let body = response
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .read_to_string()
            .map_err(|error| format!("{method}: {error}"))?;
        // Refusals that never reach a method (a wrong password, a full queue) are not JSON.
        serde_json::from_str(&body).map_err(|_| format!("{method}: HTTP status {status}: {body}"))
    }

    /// Mines this many blocks and returns their hashes.
    pub fn generate(&self, blocks: u32) -> Vec<String> {
        // A busy machine must mine them within the timeout of a call.
        const AT_ONCE: u32 = 500;
        let mut hashes = Vec::new();
        for mined in (0..blocks).step_by(AT_ONCE as usize) {
            let count = AT_ONCE.min(blocks - mined);
            let more = self.rpc("generatetoaddress", json!([count, MINING_ADDRESS]));
            let more: Vec<String> = serde_json::from_value(more).expect("a list of block hashes");
            hashes.extend(more);
        }
        hashes
    }

    /// Returns the node's information about each peer.
    pub fn peer_info(&self) -> Vec<Value> {
        serde_json::from_value(self.rpc("getpeerinfo", json!([]))).expect("a list of peers")
    }

    /// Returns the raw bytes of a block in hexadecimal.
    pub fn block_hex(&self, hash: &str) -> String {
        serde_json::from_value(self.rpc("getblock", json!([hash, 0]))).expect("a block")
    }

    /// Returns the raw bytes of a large block, without an intermediate text.
    #[track_caller]
    pub fn block_bytes(&self, hash: &str) -> Vec<u8> {
        let url = format!("http://127.0.0.1:{}/rest/block/{hash}.bin", self.rpc_port);
        let answer = agent().get(url).call().and_then(|mut response| {
            let body = response.body_mut().with_config().limit(u64::MAX);
            let bytes = body.read_to_vec()?;
            Ok((response.status(), bytes))
        });
        match answer {
            Ok((status, bytes)) if status.is_success() => bytes,
            Ok((status, text)) => panic!("{hash}: {status}: {}", String::from_utf8_lossy(&text)),
            Err(error) => panic!("{hash}: {error}"),
        }
    }

    /// Returns the height of the best chain.
    pub fn best_height(&self) -> u32 {
        serde_json::from_value(self.rpc("getblockcount", json!([]))).expect("a height")
    }

    /// Makes the node dial this address once. Does not wait for the connection.
    pub fn add_node_onetry(&self, address: SocketAddr) {
        self.rpc("addnode", json!([address.to_string(), "onetry"]));
    }

    /// Waits for a condition and returns its value. Panics with `what` after the deadline.
    #[track_caller]
    pub fn wait_until<C: Condition>(
        &self,
        what: &str,
        deadline: Duration,
        mut condition: impl FnMut() -> C,
    ) -> C::Value {
        match poll(deadline, || condition().met()) {
            Some(value) => value,
            None => panic!("not within {deadline:?}: {what}"),
        }
    }

    /// Returns whether the process exists, suspended or not.
    pub fn is_running(&self) -> bool {
        match self.process.lock().as_mut() {
            Some(child) => exit_status(child).is_none(),
            None => false,
        }
    }

    /// Kills the process like a crash does (SIGKILL).
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().take() {
            kill_and_reap(&mut child);
        }
    }

    /// Suspends the process (SIGSTOP): its sockets stay open, but it reads and answers nothing.
    pub fn stop_process(&self) {
        let pid = self.signal("STOP");
        self.wait_until("the node is suspended", Duration::from_secs(10), || {
            is_suspended(pid)
        });
    }

    /// Resumes a suspended process (SIGCONT).
    pub fn continue_process(&self) {
        self.signal("CONT");
    }

    /// Shuts the node down and waits for its exit.
    pub fn shutdown(&self) {
        self.continue_process();
        self.rpc("stop", json!([]));
        let status = self.wait_until("the node ends after stop", SHUTDOWN_DEADLINE, || {
            exit_status(self.process.lock().as_mut().expect("the node runs"))
        });
        assert!(status.success(), "{status}\n{}", self.describe_log());
        *self.process.lock() = None;
    }

    /// Starts the node again with the same folder, options and ports. A running node is shut down
    /// first.
    pub fn restart(&self) {
        if self.is_running() {
            self.shutdown();
        }
        let mut failure = String::new();
        let outcome = poll(PORTS_DEADLINE, || match self.launch() {
            Ok(()) => Some(Ok(())),
            Err(LaunchError::Failed(why)) => Some(Err(why)),
            Err(LaunchError::PortTaken(why)) => {
                failure = why;
                None
            }
        });
        match outcome {
            Some(Ok(())) => {}
            Some(Err(why)) => panic!("{why}"),
            None => panic!("the node did not get its ports back: {failure}"),
        }
    }

    /// Returns the whole log.
    pub fn log(&self) -> String {
        self.log_tail(usize::MAX)
    }

    /// Returns the last lines of the node's log, which contains every message, ban score and
    /// disconnect.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = fs::read(self.folder.path().join("data/regtest/bitcoind.log"));
        let log = String::from_utf8_lossy(&log.unwrap_or_default()).into_owned();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Chooses ports and creates the data folder.
    fn prepare(options: &[&str]) -> Self {
        let binary = binary_path(std::env::var_os("BSV_NODE"));
        let folder = tempfile::Builder::new()
            .prefix("bsv-node-")
            .tempdir()
            .expect("a folder for the node");
        fs::create_dir(folder.path().join("data")).expect("a data folder for the node");
        let [p2p_port, rpc_port] = free_ports();
        // With a password of its own, a node that took a port of this one cannot pass for it.
        static NODES: AtomicU32 = AtomicU32::new(0);
        let rpc_password = format!(
            "{}-{}",
            std::process::id(),
            NODES.fetch_add(1, Ordering::Relaxed)
        );
        Self {
            binary,
            options: options.iter().map(ToString::to_string).collect(),
            folder,
            p2p_port,
            rpc_port,
            rpc_url: format!("http://test:{rpc_password}@127.0.0.1:{rpc_port}/"),
            rpc_password,
            process: Mutex::new(None),
        }
    }

    /// Starts the process and waits until it responds. `-connect=0` disables dialing of advertised
    /// addresses.
    fn launch(&self) -> Result<(), LaunchError> {
        let output = File::create(self.output_path()).expect("a file for the node's output");
        let child = Command::new(&self.binary)
            .arg(format!(
                "-datadir={}",
                self.folder.path().join("data").display()
            ))
            .arg(format!("-port={}", self.p2p_port))
            .arg(format!("-rpcport={}", self.rpc_port))
            .arg(format!("-rpcpassword={}", self.rpc_password))
            .args([
                "-regtest",
                "-server",
                "-rest",
                "-rpcuser=test",
                "-rpcbind=127.0.0.1",
                "-rpcallowip=127.0.0.1",
                "-rpcworkqueue=64",
                "-listen=1",
                "-bind=127.0.0.1",
                "-connect=0",
                "-dns=0",
                "-dnsseed=0",
                "-discover=0",
                "-keypool=10",
                "-excessiveblocksize=10000000000",
                "-maxstackmemoryusageconsensus=100000000",
                "-minminingtxfee=0.0000005",
                "-debug=net",
            ])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the node's output twice"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.binary.display()));
        *self.process.lock() = Some(child);

        let came_up = poll(START_DEADLINE, || {
            let status = exit_status(self.process.lock().as_mut().expect("the node was started"));
            match status {
                Some(status) => Some(Err(status)),
                None => self
                    .try_rpc("getnetworkinfo", json!([]))
                    .is_ok()
                    .then_some(Ok(())),
            }
        });
        match came_up {
            Some(Ok(())) => Ok(()),
            Some(Err(status)) => {
                *self.process.lock() = None;
                let output = fs::read(self.output_path()).unwrap_or_default();
                let output = String::from_utf8_lossy(&output);
                let why = format!("the node ended at once: {status}\n{}", self.describe_log());
                if output.contains("Failed to listen on any port")
                    || output.contains("Unable to start HTTP server")
                {
                    Err(LaunchError::PortTaken(why))
                } else {
                    Err(LaunchError::Failed(why))
                }
            }
            None => {
                self.kill();
                Err(LaunchError::Failed(format!(
                    "the node did not answer within {START_DEADLINE:?}\n{}",
                    self.describe_log()
                )))
            }
        }
    }

    /// Returns the path of the node's standard output and standard error.
    fn output_path(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// Returns the end of the node's output, for a failure message.
    fn describe_log(&self) -> String {
        let output = fs::read(self.output_path()).unwrap_or_default();
        format!(
            "--- output of the node\n{}\n--- end of its log\n{}\n---",
            String::from_utf8_lossy(&output).trim_end(),
            self.log_tail(SHOWN_LINES)
        )
    }

    /// Sends a signal to the process and returns its id.
    #[track_caller]
    fn signal(&self, name: &str) -> u32 {
        let mut process = self.process.lock();
        let Some(child) = process.as_mut() else {
            panic!("no signal {name}: the node does not run");
        };
        if let Some(status) = exit_status(child) {
            panic!(
                "no signal {name}: the node ended: {status}\n{}",
                self.describe_log()
            );
        }
        // The built-in `kill` of the shell exists even without a program of that name.
        let status = Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$1""#, name])
            .arg(child.id().to_string())
            .stdin(Stdio::null())
            .status()
            .expect("a shell to send a signal");
        assert!(status.success(), "signal {name} to the node: {status}");
        child.id()
    }
}

impl Drop for RealNode {
    fn drop(&mut self) {
        // The node's log helps to explain a failure.
        if thread::panicking() {
            eprintln!("{}", self.describe_log());
        }
        if let Some(child) = self.process.get_mut() {
            kill_and_reap(child);
        }
    }
}

/// Returns an HTTP client for the node.
fn agent() -> ureq::Agent {
    // The node may close an idle connection at any time, so each call has its own. A proxy set in
    // the environment is not for loopback.
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .proxy(None)
        .timeout_global(Some(RPC_DEADLINE))
        .build()
        .into()
}

/// Returns the result of a call, or its error as text.
fn result_of(method: &str, mut answer: Value) -> Result<Value, String> {
    match &answer["error"] {
        Value::Null => Ok(answer["result"].take()),
        error => Err(format!(
            "{method}: {} (code {})",
            error["message"].as_str().unwrap_or_default(),
            error["code"]
        )),
    }
}

/// Polls a condition until it is true or the deadline has passed. The node sends no notifications,
/// so this is the one place that polls.
fn poll<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Returns the path of the node's program. Panics with instructions if it is not set.
fn binary_path(variable: Option<OsString>) -> PathBuf {
    const HELP: &str = "get the node with `export BSV_NODE=$(.ci/fetch-real-node target/node)`";
    let Some(variable) = variable else {
        panic!("BSV_NODE is not set to the path of a Bitcoin SV node's bitcoind: {HELP}");
    };
    let path = PathBuf::from(variable);
    assert!(
        path.is_file(),
        "BSV_NODE is {}, which is no file: {HELP}",
        path.display()
    );
    path
}

/// Returns two loopback ports that were free during the call.
fn free_ports() -> [u16; 2] {
    // Both are held until both are known, so that they differ.
    let listeners = [(); 2].map(|()| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on the loopback interface")
    });
    listeners.map(|listener| listener.local_addr().expect("a bound address").port())
}

/// Returns the exit status of the process, if it has exited.
fn exit_status(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().expect("the state of the node's process")
}

/// Kills the process, even a suspended one (SIGKILL does not wait for SIGCONT), and collects it.
fn kill_and_reap(child: &mut Child) {
    // An error means that the process has exited and was collected already.
    let _ = child.kill();
    let _ = child.wait();
}

/// Returns whether every thread of the process is suspended.
fn is_suspended(pid: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the threads of the node");
    tasks.filter_map(Result::ok).all(|task| {
        // The state follows the name, which is in parentheses and may hold any character.
        fs::read_to_string(task.path().join("stat"))
            .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|s| s.starts_with(" T")))
    })
}
