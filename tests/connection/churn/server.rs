//! A program that accepts connections, answers requests, and closes connections at random times.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bsv_p2p::Error;
use bsv_p2p::connection::{
    InboundOutcome, InboundSocket, PeerConnectionActor, PeerConnectionHandle,
};
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::peers::PeerId;
use bsv_p2p::wire::{Block, Headers, Inventory, Message, NotFound};
use parking_lot::Mutex;
use test_support::raw_peer::large_block;

use super::history::number_of;
use super::program::{Counts, Program};
use crate::harness::SeededRandom;

/// The interval at which a waiting accept checks for the stop signal.
const STOP_CHECK: Duration = Duration::from_millis(20);

type Handles = Arc<Mutex<HashMap<PeerId, Arc<PeerConnectionHandle>>>>;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    program: Arc<Program>,
    handles: Handles,
    stop: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

/// Returns the block that a server has.
pub(super) fn block() -> Block {
    large_block(100_000)
}

impl Server {
    pub(super) fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let handles = Handles::default();
        let program = {
            let (handles, block) = (handles.clone(), block());
            let mut random = SeededRandom::new(seed);
            Arc::new(Program::start(move |event| {
                on_event(&event, &handles, &block, &mut random);
            }))
        };
        let stop = Arc::<AtomicBool>::default();
        Self {
            address: listener.local_addr().unwrap(),
            accepting: {
                let (program, handles, stop) = (program.clone(), handles.clone(), stop.clone());
                thread::spawn(move || accept_all(&listener, &program, &handles, &stop, seed))
            },
            program,
            handles,
            stop,
        }
    }

    /// Closes all connections, and checks all events and resources.
    pub(super) fn finish(self) -> Counts {
        self.stop.store(true, SeqCst);
        self.accepting.join().unwrap();
        let handles: Vec<_> = self.handles.lock().drain().collect();
        drop(handles);
        Arc::into_inner(self.program).unwrap().finish()
    }
}

/// Accepts sockets until it is stopped, and closes the undecided ones.
fn accept_all(
    listener: &TcpListener,
    program: &Program,
    handles: &Handles,
    stop: &AtomicBool,
    seed: u64,
) {
    let socket = socket2::SockRef::from(listener);
    socket.set_read_timeout(Some(STOP_CHECK)).unwrap();
    let mut random = SeededRandom::new(!seed);
    let mut pending = Vec::<InboundSocket>::new();
    while !stop.load(SeqCst) {
        let Ok((tcp, _)) = listener.accept() else {
            continue;
        };
        pending.retain(InboundSocket::is_pending);
        let (handles, started) = (handles.clone(), program.started().clone());
        let fate = random.below(32);
        let multistreams = random.below(4) != 0;
        let accepted =
            PeerConnectionActor::accept(tcp, program.options(multistreams), move |outcome| {
                let InboundOutcome::Connection(connection) = outcome else {
                    return;
                };
                let handle = match fate {
                    0 => return,
                    1 => connection.reject_over_capacity(),
                    _ => connection.start(),
                };
                // Fails if the socket was canceled.
                if let Ok(handle) = handle {
                    started.fetch_add(1, SeqCst);
                    handles.lock().insert(handle.peer_id(), Arc::new(handle));
                }
            });
        match accepted {
            Ok(socket) => pending.push(socket),
            // The peer has reset the connection.
            Err(Error::Io { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Answers a request, or closes the connection. Drops the handle after the final event.
fn on_event(event: &Event, handles: &Handles, block: &Block, random: &mut SeededRandom) {
    let peer_id = match event {
        Event::Control(event) => event.peer().expect("an event of a peer").0,
        Event::Message(event) => event.peer_id,
        other => panic!("{other:?}"),
    };
    let Some(handle) = handles.lock().get(&peer_id).cloned() else {
        return;
    };
    match event {
        Event::Message(event) => {
            // The connection may have ended, or its queue may be full.
            let _ = answer(&handle, &event.message, block);
        }
        Event::Control(
            ControlEvent::ConnectionLost { .. }
            | ControlEvent::ConnectionFailed { .. }
            | ControlEvent::ConnectionRejectedCapacity { .. },
        ) => drop(handles.lock().remove(&peer_id)),
        _ => {}
    }
    if random.below(60) == 0 {
        handle.disconnect();
    }
}

fn answer(handle: &PeerConnectionHandle, message: &Message, block: &Block) -> Result<(), Error> {
    match message {
        Message::GetHeaders(_) => handle.try_send(Headers::default()),
        Message::GetData(request) => {
            let wanted = Inventory::Block(block.hash());
            if request.inventory.contains(&wanted) {
                handle.try_send(block.clone())?;
            }
            let is_missing = |entry: &&Inventory| **entry != wanted;
            let missing: Vec<_> = request
                .inventory
                .iter()
                .filter(is_missing)
                .copied()
                .collect();
            handle.try_send(NotFound::from(missing))
        }
        echoed if number_of(echoed).is_some() => handle.try_send(echoed),
        _ => Ok(()),
    }
}
