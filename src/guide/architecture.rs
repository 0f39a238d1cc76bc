//! The architecture: layers, threads, the path of a message, dependencies.
//!
//! # Layers
//!
//! A layer depends only on layers above it in this table, and can be used without the layers below
//! it.
//!
//! | module | contents | sockets and threads |
//! | --- | --- | --- |
//! | [`wire`](crate::wire) | messages, frames, merkle proofs, compact blocks, chain rules, header chain | none |
//! | [`session`](crate::session) | the protocol of one peer as a state machine | none |
//! | [`peers`](crate::peers) | addresses, status, bans, storage | file of the store |
//! | [`HeaderStore`](crate::HeaderStore) | a file of headers | file |
//! | [`discovery`](crate::discovery) | DNS seed lookups | UDP and TCP sockets, on the caller's thread |
//! | [`connection`](crate::connection) | one peer: `Connection`, `PeerConnectionActor`, `Supervisor` | one socket and thread per stream |
//! | [`local_node`](crate::local_node) | an in-process node for tests and examples | listener and two threads |
//! | [`manager`](crate::manager) | many peers, the chain, blocks and transactions | see below |
//!
//! All layers share [`network`](crate::network), [`event`](crate::event) and
//! [`Error`](crate::Error).
//!
//! There is no global state: limits, nonces, events and configurations belong to objects. The
//! library installs neither a signal handler nor a panic hook.
//!
//! Protocol decisions are pure state machines: [`Session`](crate::session::Session),
//! [`RestartPolicy`](crate::connection::RestartPolicy), and the plan of the manager. Time and
//! random numbers are their arguments. The threads only transfer bytes and execute decisions. Tests
//! run these machines over months of simulated time.
//!
//! # Threads
//!
//! | thread | exists | work |
//! | --- | --- | --- |
//! | stream | for each TCP connection of a peer | Dials, reads, decodes, drives the session, writes replies, publishes events. The thread of an accepted socket reads the first message before a peer exists. |
//! | writer | while the send queue of a stream is not empty | Writes the queue. Ends after 5 s without work. |
//! | restarts | for each [`Supervisor`](crate::connection::Supervisor) | Starts the reconnects that are due. |
//! | supervisor | for each [`Manager`](crate::Manager) | Owns all state of the manager, makes every decision, and never blocks on I/O. |
//! | listener | while the listener of a manager is enabled | Accepts sockets. |
//! | store | if the manager has a store | Writes and saves peers and bans. |
//! | seeds | while DNS seeds are queried | Resolves one seed after the other. |
//! | chain | if the manager follows a chain | Requests and verifies headers, and writes the header file. |
//!
//! A [`Connection`](crate::Connection) has no thread. Its methods read, write, reply to pings and
//! check timeouts on the caller's thread. If a caller makes no call for minutes, the peer may close
//! the connection.
//!
//! Dropping a handle joins its threads, except the helper thread of a lookup by the system
//! resolver.
//!
//! # Sockets
//!
//! Sockets are blocking and have timeouts. Each connection records the reason of its end in one
//! place, and the first reason is final. The record shuts all sockets down and ends every wait, so a
//! blocked read returns. If the peer closes the connection, the data that arrived before is still
//! delivered, on both streams.
//!
//! If the send queue is empty and the socket is writable, a send writes directly to the socket. The
//! remaining bytes are queued, and a writer thread drains the queue. Protocol replies have priority
//! over other messages, and separate limits. A frame must be complete before the next frame is
//! written. If this fails, the stream is closed.
//!
//! On each stream, messages are sent in the order of the calls.
//! [`flush`](crate::connection::PeerConnectionHandle::flush) returns after everything was passed to
//! the system.
//!
//! # Inbound sockets
//!
//! [`PeerConnectionActor::accept`](crate::connection::PeerConnectionActor::accept) spawns the thread
//! of an accepted socket. No peer exists yet:
//!
//! 1. The thread reads until it knows the first message. Magic and command decide as soon as they
//!    differ from those of a `createstrm`. The handshake timeout has started.
//! 2. A `createstrm` attaches the socket to the peer of the association. The thread acknowledges the
//!    stream and continues as its reader. An invalid request is answered by `reject`.
//! 3. Otherwise, the owner of the socket decides. If it starts a connection, the same thread runs
//!    the connection, which decodes the received bytes. The first event is emitted now.
//!
//! The supervisor thread of a manager decides twice. Before step 1, it checks bans and the limits of
//! handshakes. In step 3, it checks bans and the limits of connections, and reserves a slot. A
//! socket counts toward the limits of one kind at a time, and a second stream toward none.
//!
//! # The path of a message
//!
//! A received message, for example a block, reaches a subscriber in these steps:
//!
//! 1. The stream thread reads into a buffer of 1 KiB, which grows to 64 KiB while data arrives.
//! 2. [`FrameReader`](crate::wire::FrameReader) checks the magic, the limit of the command, and the
//!    checksum while bytes arrive. If a payload exceeds `limits.buffered`, it is discarded.
//! 3. A payload of 32 KiB or more is counted against the limit of the peer and the shared
//!    [`PayloadMemory`](crate::PayloadMemory) while it arrives. If a limit is reached, reading
//!    pauses until the peer is next in line and memory is released.
//! 4. [`Message::decode`](crate::wire::Message::decode) checks each length against the remaining
//!    bytes before it allocates. Blocks and transactions keep the payload as one shared buffer.
//! 5. The [`Session`](crate::session::Session) checks whether the message is permitted in its
//!    state, scores misbehavior, and replies to protocol messages such as `ping`.
//! 6. If the message is the response to a pending request, it is returned to the caller of the
//!    request, and the path ends here.
//! 7. The owner of the connection, such as a manager, receives the message before subscribers do.
//! 8. The [`EventBus`](crate::connection::EventBus) queues the message for each subscription. If a
//!    queue is above its capacity, the message uses the credit of the stream. If the credit is
//!    spent, reading pauses.
//!
//! In `src/connection/`, a message from the socket to a subscriber is in six files:
//! `actor/read_loop/mod.rs`, `message_reader.rs`, `actor/event_emitter.rs`, and `publisher.rs`,
//! `subscription.rs` and `event_queue.rs` of `event_bus/`. Three other files have the exceptions:
//! `actor/request_table.rs` step 6, `read_loop/outputs.rs` the replies of the session, and
//! `read_loop/backpressure.rs` the pauses.
//!
//! If a block was requested by
//! [`block_reader`](crate::connection::PeerConnectionHandle::block_reader), its bytes leave this
//! path after step 2. They are queued for the reader in chunks of 256 KiB, at most 2 MiB in total.
//! The reader parses them.
//!
//! A message is sent in these steps:
//!
//! 1. The session checks the message against its state and the profile of the peer. If the message
//!    must not be sent, it returns [`SendError`](crate::session::SendError).
//! 2. The stream policy selects a stream.
//! 3. The frame is encoded.
//! 4. The stream writes the frame, or queues it if the socket is not writable.
//!
//! These steps are in six files: `actor/handle.rs`, `actor/sending.rs`,
//! `actor/active_connection.rs`, `outbox.rs`, `send_queue.rs` and `stream.rs`.
//!
//! [`EncodedMessage`](crate::connection::EncodedMessage) is a frame that is encoded once for many
//! peers.
//!
//! # A decision of the manager
//!
//! The supervisor thread waits for connection events, accepted sockets, sockets that request
//! admission, calls, and the next deadline. It then performs three steps:
//!
//! 1. It passes each event and the time to the plan. For example, a handshake is complete, a
//!    connection is closed, or a peer advertised addresses.
//! 2. The plan changes its tables of connections, peers and bans, and queues actions.
//! 3. The supervisor executes the actions: dial, start a reconnect, close a connection, reject a
//!    socket, send a message, query a seed, publish an event.
//!
//! If a method of [`Manager`](crate::Manager) has no timeout, it waits only for this thread, for at
//! most a few milliseconds. Requests bypass the thread and use the connection directly.
//!
//! One table, [`DisconnectReason::action`](crate::session::DisconnectReason::action), returns the
//! action after a disconnect:
//!
//! | action | examples of disconnect reasons |
//! | --- | --- |
//! | reconnect with backoff | connection refused, ping timeout, stalled payload, peer at capacity |
//! | reconnect after a short pause | file descriptors exhausted, no route |
//! | pause for the cool-down | rejected by the peer, unsuitable version, services or user agent |
//! | reconnect immediately, up to three times per hour | connection reset, end of stream |
//! | ban | score of 100, frame above its limit, mismatched magic, wrong chain |
//! | pause for the cool-down, unless the caller dials the peer | disconnected by the caller |
//! | none | shutdown, no capacity, duplicate connection, invalid name |
//!
//! # Events
//!
//! All events of one connection have a fixed order:
//! [`ConnectionEstablished`](crate::event::ControlEvent::ConnectionEstablished),
//! [`HandshakeComplete`](crate::event::ControlEvent::HandshakeComplete), messages, and exactly one
//! final event. [`streams`](super::streams) describes the order between two streams.
//!
//! | kind | subscription | if the subscriber is slow |
//! | --- | --- | --- |
//! | control events | [`subscribe_control`](crate::Manager::subscribe_control) | events are dropped and counted, except [life-cycle events](crate::event::ControlEvent::is_life_cycle) |
//! | messages | [`subscribe_messages`](crate::Manager::subscribe_messages) | by [`OverflowPolicy`](crate::connection::OverflowPolicy) |
//! | both, in one order | [`subscribe`](crate::Manager::subscribe) | by [`OverflowPolicy`](crate::connection::OverflowPolicy) |
//!
//! [`EventReceiver::end_reason`](crate::connection::EventReceiver::end_reason) returns the reason
//! why a subscription ended.
//!
//! # Dependencies
//!
//! No async runtime is in the dependency tree, with any feature.
//!
//! | crate | use |
//! | --- | --- |
//! | `crossbeam-channel` | events |
//! | `parking_lot` | locks |
//! | `socket2` | socket options, non-blocking writes |
//! | `byteorder`, `bytes` | the codec and its shared buffers |
//! | `sha2` | checksums and hashes |
//! | `siphasher` | short ids of compact blocks |
//! | `ruint` | 256-bit work and targets |
//! | `hickory-proto`, `resolv-conf` | DNS packets and `/etc/resolv.conf`; only with the feature `dns` |
//! | `log` | log records |
//! | `thiserror` | errors |
//! | `uuid` | ids of peers and associations |
//! | `wildmatch` | patterns of user agents |
//! | `serde`, `serde_json` | the file of the peer store, and the feature `serde` |
//! | `libc` | socket flags and error numbers |
//!
//! Only examples and tests use `env_logger`, `mockall`, `clap`, `ctrlc`, `indicatif` and others.
//!
//! The project trust-dns was renamed to hickory. This library uses its codec, `hickory-proto`,
//! because its resolver is async only.
