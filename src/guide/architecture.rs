//! How the library is built: layers, threads, and the paths of a message and of a decision.
//!
//! # Layers
//!
//! Each layer can be used alone, and depends only on layers above it in this table.
//!
//! | module | contents | sockets and threads |
//! | --- | --- | --- |
//! | [`wire`](crate::wire) | messages, frames, merkle proofs, compact blocks, chain rules, header chain | none |
//! | [`session`](crate::session) | the protocol of one peer as a state machine | none |
//! | [`peers`](crate::peers) | addresses, status, bans, storage | file of the store |
//! | [`HeaderStore`](crate::HeaderStore) | a file of headers | file |
//! | [`discovery`](crate::discovery) | DNS seed lookups | UDP and TCP, in the thread of the caller |
//! | [`connection`](crate::connection) | one peer: `Connection`, `PeerConnectionActor`, `Supervisor` | one socket and thread per stream |
//! | [`local_node`](crate::local_node) | a node in the process, for tests and examples | listener and two threads |
//! | [`manager`](crate::manager) | many peers, the chain, blocks and transactions | see below |
//!
//! [`network`](crate::network), [`event`](crate::event) and [`Error`](crate::Error) are used by all
//! of them.
//!
//! There is no global state. Limits, nonces, events and configurations belong to objects. The
//! library does not install a signal handler or a panic hook.
//!
//! Protocol decisions are pure state machines: [`Session`](crate::session::Session),
//! [`RestartPolicy`](crate::connection::RestartPolicy), and the plan of the manager. Time and
//! random numbers are their arguments. The threads around them only move bytes and execute
//! decisions. Tests run these machines over months of simulated time.
//!
//! # Threads
//!
//! | thread | exists | work |
//! | --- | --- | --- |
//! | stream | for each TCP connection of a peer | Dials, reads, decodes, drives the session, writes replies, publishes events. |
//! | writer | while the send queue of a stream is not empty | Writes the queue. It ends after 5 s without work. |
//! | restarts | for each [`Supervisor`](crate::connection::Supervisor) | Starts the reconnects that are due. |
//! | supervisor | for each [`Manager`](crate::Manager) | Owns all state of the manager, makes every decision, and never waits. |
//! | listener | while the listener of a manager is enabled | Accepts sockets. |
//! | store | if the manager has a store | Writes and saves peers and bans. |
//! | seeds | while DNS seeds are queried | Resolves one seed after the other. |
//! | chain | if the manager follows a chain | Requests and verifies headers, and writes the header file. |
//!
//! A [`Connection`](crate::Connection) has no thread. Its methods read and write in the thread of
//! the caller, answer pings, and check timeouts. A caller that makes no call for minutes may find
//! that the peer has closed the connection.
//!
//! A handle joins its threads when it is dropped. The exception is the helper thread of a lookup by
//! the system resolver.
//!
//! # Sockets
//!
//! Sockets are blocking and have timeouts. A single cancellation signal per connection wakes every
//! wait. It shuts the sockets down, so that a blocked read returns.
//!
//! A send writes directly to the socket if the send queue is empty and the socket is writable. The
//! rest is queued, and a writer thread drains the queue. Replies of the protocol precede bulk data,
//! and have limits of their own. A frame that was started is completed before another one is
//! written, or the stream ends.
//!
//! The order in the sending direction is that of the calls on each stream.
//! [`flush`](crate::connection::PeerConnectionHandle::flush) waits until everything was passed to
//! the system.
//!
//! # The path of a message
//!
//! A block that a peer announces reaches a subscriber as follows:
//!
//! 1. The stream thread reads into a buffer of 4 KiB, which grows to 64 KiB while data arrives.
//! 2. [`FrameReader`](crate::wire::FrameReader) checks the magic, the limit of the command, and the
//!    checksum while bytes arrive. A payload that is too long to be kept is discarded.
//! 3. The payload is counted against the budget of the peer and the shared
//!    [`PayloadMemory`](crate::PayloadMemory). Without memory the thread stops reading.
//! 4. [`Message::decode`](crate::wire::Message::decode) checks each length against the remaining
//!    bytes before it allocates. Blocks and transactions keep the payload as one shared buffer.
//! 5. The [`Session`](crate::session::Session) verifies that the message is permitted in its state,
//!    scores misbehavior, and answers messages of the protocol, such as `ping`.
//! 6. A message that answers a pending request is delivered to the caller of the request. It is not
//!    published.
//! 7. The owner of the connection, such as a manager, receives the message before subscribers do.
//! 8. The [`EventBus`](crate::connection::EventBus) publishes it to each subscription. A full
//!    subscription makes the event wait in the backlog of the stream.
//!
//! A block requested by [`block_reader`](crate::connection::PeerConnectionHandle::block_reader)
//! leaves this path after step 2. Its bytes are queued for the reader in chunks of 256 KiB, at most
//! 2 MiB in total, and scanned when they are read.
//!
//! A message is sent as follows:
//!
//! 1. The session checks it against its state and the profile of the peer. It returns
//!    [`SendError`](crate::session::SendError) if the message is not permitted.
//! 2. The stream policy selects a stream.
//! 3. The frame is encoded.
//! 4. The stream writes the frame, or queues it if it cannot be written at once.
//!
//! [`EncodedMessage`](crate::connection::EncodedMessage) encodes a frame once for many peers.
//!
//! # A decision of the manager
//!
//! The supervisor thread waits for events of connections, for accepted sockets, for calls, and for
//! the next deadline. It then repeats three steps:
//!
//! 1. It reports each event to the plan, with the time. Examples: a handshake is complete, a
//!    connection ended, a peer advertised addresses.
//! 2. The plan changes its tables of connections, peers and bans, and queues actions.
//! 3. The supervisor executes the actions: dial, start a reconnect, close a connection, reject a
//!    socket, send a message, query a seed, publish an event.
//!
//! Methods of [`Manager`](crate::Manager) without a timeout wait for this thread only, which takes
//! a few milliseconds at most. Requests do not pass through it: they go directly to the connection.
//!
//! The action after the end of a connection is defined in one table,
//! [`DisconnectReason::action`](crate::session::DisconnectReason::action):
//!
//! | action | examples of reasons |
//! | --- | --- |
//! | reconnect with backoff | connection refused, no answer to a ping, stalled payload, peer is full |
//! | reconnect after a short pause | out of file descriptors, no route |
//! | pause for the cool-down | rejected by the peer, unsuitable version, services or user agent |
//! | reconnect at once, up to three times per hour | connection reset, end of stream |
//! | ban | score of 100, frame above its limit, other magic, other chain |
//! | no dialing before the cool-down, unless the caller names the peer | disconnected by the caller |
//! | none | shutdown, no capacity, duplicate connection, invalid name |
//!
//! # Events
//!
//! All events of one connection have a fixed order:
//! [`ConnectionEstablished`](crate::event::ControlEvent::ConnectionEstablished),
//! [`HandshakeComplete`](crate::event::ControlEvent::HandshakeComplete), messages, and exactly one
//! final event. [`streams`](super::streams) describes the order between two streams.
//!
//! | kind | subscription | when it is slow |
//! | --- | --- | --- |
//! | control events | [`subscribe_control`](crate::Manager::subscribe_control) | events are dropped and counted |
//! | messages | [`subscribe_messages`](crate::Manager::subscribe_messages) | by [`OverflowPolicy`](crate::connection::OverflowPolicy) |
//! | both, in one order | [`subscribe`](crate::Manager::subscribe) | by [`OverflowPolicy`](crate::connection::OverflowPolicy) |
//!
//! An [`EventReceiver`](crate::connection::EventReceiver) reports why its subscription ended.
//!
//! # Dependencies
//!
//! No async runtime is in the dependency tree, with any feature.
//!
//! | crate | use |
//! | --- | --- |
//! | `crossbeam-channel` | events |
//! | `parking_lot` | locks |
//! | `socket2` | socket options, writing without waiting |
//! | `byteorder`, `bytes` | the codec and its shared buffers |
//! | `sha2` | checksums and hashes |
//! | `siphasher` | short ids of compact blocks |
//! | `ruint` | 256-bit work and targets |
//! | `hickory-proto`, `resolv-conf` | DNS packets and `/etc/resolv.conf`; only with the feature `dns` |
//! | `log` | log records |
//! | `thiserror` | errors |
//! | `uuid` | identities of peers and associations |
//! | `wildmatch` | patterns of user agents |
//! | `serde`, `serde_json` | the file of the peer store; the feature `serde` extends them to the types of the library |
//! | `libc` | socket flags and error numbers |
//!
//! `env_logger`, `mockall`, `clap`, `ctrlc`, `indicatif` and others are used by examples and tests
//! only.
//!
//! The crate `trust-dns-resolver` was renamed to hickory. This library uses its codec,
//! `hickory-proto`, because the resolver itself is async only.
