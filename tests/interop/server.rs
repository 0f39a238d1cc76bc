//! A listening node made of chain-gang's codec.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use chain_gang::messages::{Message, NODE_BITCOIN_CASH, NODE_NETWORK, Version};
use chain_gang::network::Network;
use test_support::raw_peer::DEADLINE;

use crate::dialer::chain_gang_version;
use crate::served_chain::ServedChain;

/// A server that shakes hands with every peer and serves it a chain. It stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    received: Receiver<Message>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    chain: ServedChain,
    is_stopped: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    /// Held while a message is written, so that messages of two threads are not mixed.
    writing: Mutex<()>,
}

impl Server {
    pub(crate) fn start(chain: ServedChain) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            chain,
            is_stopped: AtomicBool::new(false),
            connections: Mutex::default(),
            writing: Mutex::default(),
        });
        let (messages, received) = channel();
        let thread = thread::spawn({
            let shared = shared.clone();
            move || shared.listen(&listener, &messages)
        });
        Self {
            address,
            shared,
            received,
            thread: Some(thread),
        }
    }

    pub(crate) fn chain(&self) -> &ServedChain {
        &self.shared.chain
    }

    /// Sends a message to every peer.
    pub(crate) fn broadcast(&self, message: &Message) {
        for connection in &mut *self.shared.connections.lock().unwrap() {
            self.shared.write(connection, message).unwrap();
        }
    }

    /// Returns the first received message for which `wanted` returns something. Earlier ones are
    /// skipped.
    #[track_caller]
    pub(crate) fn expect<T>(&self, mut wanted: impl FnMut(&Message) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self.received.recv_timeout(left).expect("a message");
            if let Some(found) = wanted(&message) {
                return found;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        for connection in &*self.shared.connections.lock().unwrap() {
            // Fails if the peer has closed the connection already.
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Ends the wait for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn listen(&self, listener: &TcpListener, messages: &Sender<Message>) {
        thread::scope(|scope| {
            while let Ok((connection, _)) = listener.accept() {
                let writer = connection.try_clone().unwrap();
                let mut connections = self.connections.lock().unwrap();
                connections.push(writer);
                drop(connections);
                // After the connection was added: the drop of the server closes it otherwise.
                if self.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let messages = messages.clone();
                scope.spawn(move || self.serve(connection, &messages));
            }
        });
    }

    /// Serves one connection until it ends.
    fn serve(&self, mut connection: TcpStream, messages: &Sender<Message>) {
        connection.set_nodelay(true).unwrap();
        let magic = Network::BSV_Regtest.magic();
        while let Ok(message) = Message::read(&mut connection, magic) {
            let answers = match &message {
                Message::Version(_) => vec![Message::Version(self.version()), Message::Verack],
                _ => self.chain.answers(&message),
            };
            for answer in &answers {
                // A failure ends the next read too.
                let _ = self.write(&mut connection, answer);
            }
            // The receiver is gone once the server is dropped.
            let _ = messages.send(message);
        }
        let _ = connection.shutdown(Shutdown::Both);
    }

    fn version(&self) -> Version {
        Version {
            services: NODE_BITCOIN_CASH | NODE_NETWORK,
            start_height: self.chain.height(),
            nonce: 0x5eed,
            ..chain_gang_version()
        }
    }

    fn write(&self, connection: &mut TcpStream, message: &Message) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap();
        message.write(connection, Network::BSV_Regtest.magic())
    }
}
