//! All limits, with their defaults.
//!
//! Every queue, every table and every wait for a peer has a limit. The column "setting" names the
//! field that changes a limit. A limit without a setting is fixed. Fields with these prefixes
//! belong to other types:
//!
//! | prefix | configuration |
//! | --- | --- |
//! | none | [`ConnectionConfig`](crate::ConnectionConfig), which a manager has as `connection` |
//! | `session.` | [`SessionConfig`](crate::session::SessionConfig) |
//! | `manager.` | [`ManagerConfig`](crate::ManagerConfig) |
//!
//! The documentation of each field states when an update takes effect.
//!
//! # Payloads
//!
//! The settings are fields of [`PayloadLimits`](crate::wire::PayloadLimits) (`session.limits`).
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | payload of a message, as announced by `protoconf` | 2 MiB (minimum 1 MiB) | `general` | closed |
//! | `tx`, `datareftx` | 1,000,000,000 bytes | `transaction` | closed |
//! | `block`, `cmpctblock`, `blocktxn`, `hdrsen` | 2^63 - 1 bytes | `block` | closed |
//! | `getblocktxn` | 6 bytes per 215 bytes of `block`, plus a frame header | - | closed |
//! | `protoconf` | 1 MiB | - | closed |
//! | maximum of all limits above except `protoconf` | none | `ceiling` | closed |
//! | before the handshake is complete, except `protoconf` | 64 KiB | - | closed |
//! | payload in memory | 32 MiB | `buffered` | discarded |
//! | block or transaction in memory that was not requested | 1 MiB | `unrequested` | discarded |
//! | payload in memory of a command that is always short | 64 KiB: see [`kept_limit`] | - | discarded |
//! | response above the limit of its command | [`ExpectedPayloads`] | - | request fails |
//! | user agent | 256 bytes | - | handshake fails |
//! | read buffer | 1 KiB if idle, up to 64 KiB | - | - |
//!
//! - "Closed": a longer frame closes the connection as soon as its header is received.
//! - "Discarded": a longer payload is discarded while it arrives, and
//!   [`PayloadDiscarded`](crate::event::ControlEvent::PayloadDiscarded) is emitted.
//! - "Request fails": the payload is discarded and the connection stays open.
//!
//! A block or transaction counts as requested for a limited time:
//!
//! | request | requested until | then |
//! | --- | --- | --- |
//! | method such as [`block`] or [`transactions`] | the method returns | late |
//! | `getdata`, `getblocktxn`, `gethdrsen` sent as a message | the object arrives, for 30 to 60 minutes | unrequested |
//! | blocks, after `sendhdrsen` or a `sendcmpct` that requests announcements | the connection ends | - |
//!
//! An object is late if the method returned without it, for example after a timeout. If it still
//! arrives, the limits of unrequested payloads apply: up to 1 MiB it is an ordinary message, and
//! longer ones are discarded. For 30 to 60 minutes, a late payload above the limit of its command
//! is discarded too, and the connection stays open. If a peer does not respond to a method, the
//! limits of unrequested payloads are raised only until the method returns.
//!
//! # Memory
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | large payloads of one peer | 64 MiB (minimum `limits.buffered`) | `max_payload_memory` | reading pauses |
//! | large payloads of all peers of a manager | 512 MiB | `manager.max_payload_memory` | reading pauses |
//! | payloads of each peer that do not count in the shared limit | 1 MiB ([`MIN_PER_PEER`]) | - | - |
//! | buffers of dropped payloads that are reused | 8 MiB, 4 MiB each | - | the oldest buffer is freed |
//! | read buffer and uncounted start of a payload | 128 KiB per stream | - | - |
//! | wait for payload memory | 15 s | `payload_memory_timeout` | [`PayloadMemoryExhausted`] |
//! | queue of [`Connection::receive`] | 32 MiB | `max_receive_queue_bytes` | the oldest message is dropped and counted |
//! | block data queued for a [`BlockReader`] | 2 MiB | - | reading pauses |
//! | transaction passed to a [`BlockVisitor`] in one piece | 1 MiB | [`max_buffered_transaction`] | pieces |
//! | index of a block | 8 bytes per transaction, up to 16 while it arrives | - | - |
//!
//! The buffer of a payload grows with the bytes that arrive, regardless of the length in the frame
//! header. Blocks and transactions keep the buffer in which they arrived, and are read through
//! views that borrow from it.
//!
//! A payload of at least 32 KiB counts from its arrival until the last message, block or slice that
//! shares it is dropped. Smaller payloads never wait for memory. They are limited by the queues of
//! the subscribers. Several managers can share a [`PayloadMemory`](crate::PayloadMemory).
//!
//! If a limit is reached, a peer that sends a large payload is not read until memory is available.
//! Waiting peers receive memory in the order in which they began to wait. After
//! `payload_memory_timeout`:
//!
//! - A peer that has reached its own limit is disconnected.
//! - If the shared limit is reached, the peer is disconnected whose incomplete payloads hold the
//!   most shared memory. At most one peer is disconnected per `payload_memory_timeout`.
//!
//! A peer that sends no large payload is always read. Therefore messages that a caller keeps never
//! disconnect a quiet peer. In the worst case, n peers with two streams each take the shared limit,
//! the reused buffers and n times 1.25 MiB: 545 MiB for the 20 connections of a default manager.
//!
//! A `PayloadMemory` keeps the buffers of dropped payloads, which all of its peers reuse for
//! payloads of a similar length. A buffer counts in their limit until a payload that uses it is
//! complete. From then on, only the part counts that is longer than the payload.
//!
//! An idle peer of a manager takes 32.6 KiB of resident memory, or 50.8 KiB with two streams: see
//! [`performance`](super::performance).
//!
//! # Queues
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | bytes to send, per stream | 16 MiB | `max_send_queue_bytes` | `send` blocks, `try_send` fails |
//! | messages to send, per stream | 10,000 | `max_send_queue_messages` | `send` blocks, `try_send` fails |
//! | protocol replies to send, per stream | 1 MiB and 4,096 messages | - | [`SlowReader`] |
//! | messages of a subscription | 1,024 | [`capacity`] | [`OverflowPolicy`] |
//! | messages above the capacity, per stream | 4 MiB and one message | `max_subscriber_backlog_bytes` | reading pauses |
//! | life-cycle events of a subscription | 16,384 | - | [`TooSlow`] |
//! | other control events of a subscription | 1,024, or [`capacity`] | - | dropped, [`Lagged`] |
//! | violations without a score, per peer | 1 event per second | - | counted in the event |
//! | updates of [`subscribe_blocks`] | 1,024 | - | [`skipped`] |
//! | open requests per peer | 1,024 | - | [`TooManyRequests`](crate::Error::TooManyRequests) |
//!
//! A message above `max_send_queue_bytes` is accepted if the queue is empty.
//!
//! An event is in the queue of a subscription as soon as it is published. A message that a queue
//! takes above its capacity is charged to its stream until it is taken: the memory of its content,
//! which is at most twice the payload, and 512 bytes. If a stream has spent its credit, it is not
//! read until half of the credit is free, and TCP slows the peer down. If a subscription then takes
//! no event of any peer for `subscriber_timeout`, it ends, and its queue is freed. A slow
//! subscription therefore ends only itself.
//! [`OverflowPolicy::DropNewest`](crate::connection::OverflowPolicy::DropNewest) drops messages
//! instead, counts them and reports them.
//!
//! The messages of closed connections stay in the queue. While they exceed the credit of one
//! stream, new connections are not read after the handshake. They are read again within a second
//! after that.
//!
//! [Life-cycle events](crate::event::ControlEvent::is_life_cycle) are never dropped.
//!
//! # Timeouts
//!
//! | wait | default | setting | effect |
//! | --- | --- | --- | --- |
//! | name resolution | 10 s | `resolve_timeout` | the connection fails |
//! | TCP connection, per address | 10 s | `connect_timeout` | the next address is dialed |
//! | handshake, reply to a stream request | 30 s | `session.handshake_timeout` | closed; stream abandoned |
//! | next 64 KiB of a payload | 20 s | `read_stall_timeout` | closed |
//! | whole payload | 60 s and 1 s per 64 KiB | - | closed |
//! | write of a frame | 20 s and 1 s per 256 KiB | `write_timeout` | closed |
//! | interval of pings | 5 min; at most 60 s to a Teranode | `session.ping_interval` | - |
//! | reply to a ping | 60 s | `session.ping_timeout` | closed |
//! | silent peer | 20 min | `session.idle_timeout` | closed |
//! | TCP keepalive | after 60 s | `tcp_keepalive` | the system probes the peer |
//! | subscription that takes no event | 15 s | `subscriber_timeout` | [`TooSlow`] |
//! | block reader that takes no data | 15 s | `block_reader_timeout` | [`BlockReaderAbandoned`] |
//! | recommended for [`addresses`](crate::Connection::addresses) | 120 s | - | - |
//! | shutdown of a manager | 10 s | `manager.shutdown_timeout` | [`ShutdownTimedOut`] |
//! | update of a live configuration | 1 s | - | - |
//!
//! - If a wait times out, the error or the [`DisconnectReason`](crate::session::DisconnectReason)
//!   names it.
//! - The ping timeout is suspended while a large frame is transferred.
//! - Pings to a Teranode are also sent while the peer is not read, because a Teranode closes silent
//!   connections after 125 s.
//! - The timeouts of subscriptions and block readers apply only while the peer is not read.
//! - `tcp_keepalive = None` disables the probes.
//! - [`DEFAULT_ADDRESSES_TIMEOUT`](crate::connection::DEFAULT_ADDRESSES_TIMEOUT) is the recommended
//!   timeout of a request for addresses.
//!
//! # Timeouts of both sides
//!
//! The other side of a connection may run this library with the same defaults. If one side waits
//! longer than the other side accepts, the other side closes the connection. With the defaults:
//!
//! | this side | time | other side | time | result |
//! | --- | --- | --- | --- | --- |
//! | pause for a subscriber, payload memory or a block reader | 15 s each | `write_timeout` | 20 s | the pause ends first |
//! | pause for payload memory, then for a subscriber | 30 s | `write_timeout` | 20 s | a frame being written may time out |
//! | [`Connection`] between two calls | no limit | `write_timeout` | 20 s | closed once the socket buffers are full |
//! | write of a frame to a slow network | 20 s and 1 s per 256 KiB | `read_stall_timeout`, whole payload | 20 s per 64 KiB, 60 s and 1 s per 64 KiB | the writing side times out first |
//! | pause before a ping is read | 30 s | `session.ping_timeout` | 60 s | the ping is answered in time |
//! | ping behind a frame | 20 s and 1 s per 256 KiB | `session.ping_timeout` | 60 s | suspended during the frame |
//! | `session.ping_interval` | 5 min | `session.idle_timeout` | 20 min | four pings arrive in that time |
//! | handshake | 30 s | handshake of a listener | 10 s | the listener closes a slow handshake |
//! | acceptance of a second stream | 5 s | reply to a stream request | 30 s | refused before the request times out |
//! | pause before a request is read | 30 s | [`fetch_block`], no data | 5 s | another peer is requested as well |
//! | [`Connection::close`] | 1 s | pause for a subscriber | 15 s | the last messages may be lost |
//!
//! A caller that changes one of these times should compare it with the time of its peers.
//!
//! # Misbehavior
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | score of a peer | 100 | `session.ban_threshold` | closed; a manager bans the peer |
//! | frames with an invalid checksum before each one scores | 100 in one burst, with gaps below 500 ms | - | - |
//!
//! # Restarts
//!
//! The settings are fields of [`RestartConfig`](crate::connection::RestartConfig)
//! (`manager.restarts`).
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | immediate restarts | 3 per hour | `max_immediate_restarts`, `restart_window` | further restarts are delayed |
//! | delay | 5 s, doubled up to 10 min | `backoff`, `max_backoff` | random reduction by up to a quarter |
//! | delayed restarts in a row | 10 | `max_delayed_restarts` | the peer becomes inaccessible |
//! | delay after a local fault | 250 ms, doubled up to 30 s | - | nothing is recorded about the peer |
//! | connection that resets the counters | after 60 s | - | - |
//!
//! If `max_delayed_restarts` is `None`, their number has no limit.
//!
//! # Connections
//!
//! The settings are fields of [`ManagerConfig`](crate::ManagerConfig).
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | target | 8 | `target_connections` | 0: only named peers are dialed |
//! | maximum | 20 | `max_connections` | second streams do not count |
//! | slots reserved for outbound connections | 4 | `min_outbound` | at most the target and half of the maximum |
//! | rate of dialing | 32 at once, then one per 250 ms | - | - |
//! | cool-down of an unreachable or unsuitable peer | 1 hour | `cooldown` | not dialed |
//!
//! # Inbound connections
//!
//! The settings are fields of [`ListenerConfig`](crate::manager::ListenerConfig)
//! (`manager.listener`). "Per address" means per IPv4 address or IPv6 /64.
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | sockets before their decision, and handshakes | 64 | `max_handshakes` | the oldest stalled one is closed, or new ones wait |
//! | stalled handshake that may be closed | 500 ms without a `version`, 2 s with one | - | - |
//! | sockets before their decision, per address | 4, and one per connected peer | `max_handshakes_per_address` | the socket is closed |
//! | handshakes per address | 4 | `max_handshakes_per_address` | the socket is closed |
//! | first message and handshake | 10 s | `handshake_timeout` | closed |
//! | first message that is a `createstrm` | 4 KiB | - | handled as another message |
//! | wait for a free slot | 10 s | - | the socket is closed |
//! | connections per address | 8 | `max_per_address` | the socket is closed |
//! | concurrent rejections by `reject` | 16 | `max_capacity_rejects` | further sockets are closed |
//! | pause before a failed bind is retried | 10 s | `bind_retry` | - |
//! | second stream that waits for the handshake of its peer | 5 s | - | the second stream is refused |
//! | time for a peer to read the `reject` of its `createstrm` | 1 s | - | the socket is closed |
//!
//! With more than 8 stalled handshakes, the times of the second row become shorter, down to 25 ms
//! and 500 ms.
//!
//! # Peers
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | known peers | 10,000 (maximum 50,000) | `manager.max_known_peers` | the least valuable peer is evicted |
//! | peers in any store or file | 50,000 | [`MAX_PEERS`] | - |
//! | bans | 10,000 (maximum 50,000) | `manager.bans.max_bans` | the oldest automatic ban is replaced |
//! | automatic ban | 24 hours | `manager.bans.automatic_duration` | - |
//! | IPv6 prefix of an automatic ban | 64 bits | `manager.bans.automatic_ipv6_prefix` | - |
//! | interval of saving | 5 min | `manager.save_interval` | - |
//!
//! The store is also saved after bans and at the shutdown. It is written at most once per second.
//!
//! # Discovery
//!
//! The settings are fields of [`DiscoveryConfig`](crate::manager::DiscoveryConfig)
//! (`manager.discovery`).
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | DNS seeds | 64 | `seeds` | the configuration is rejected |
//! | interval of lookups | 1 hour | `interval` | - |
//! | interval while all seeds fail | 30 s, doubled | - | - |
//! | interval without connections and candidates | 60 s | - | - |
//! | lookup of one seed | 10 s | `timeout` | the lookup fails |
//! | one query to a name server | 2 s, two rounds | - | the next server is queried |
//! | lookup after cancellation | 100 ms | - | - |
//! | addresses of one seed | 256 | - | further addresses are ignored |
//!
//! # Addresses
//!
//! | limit | default | effect |
//! | --- | --- | --- |
//! | addresses of an outbound peer in addition to one response of 1,000 | 50, then one per 10 s | further addresses are ignored |
//! | age of an advertised address | 1 week | older addresses are ignored |
//! | ports of one address | 4 | further ports are ignored |
//! | known peers from one address group | one eighth of `manager.max_known_peers` | unverified addresses are replaced |
//! | addresses in a response to `getaddr` | 23 % of the known peers, at most 1,000 | one response per day |
//! | interval of announcing the own address | 8 hours | - |
//!
//! # Chain
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | headers per message | 2,000 | - | - |
//! | headers of side chains | 100,000 | [`with_side_capacity`] | least work is evicted |
//! | memory per header, active chain | 91 to 96 bytes | - | - |
//! | memory per header, side chain | about 350 bytes | - | - |
//! | header ahead of the clock | 2 hours | - | the header is rejected |
//! | response of a source | 2 s | - | another source is requested as well |
//! | response of a source, no data | 10 s | - | the request is canceled |
//! | response of a source, incomplete | 60 s | - | the request is canceled |
//! | rate of a source | 100 headers per second | - | a slower source is replaced |
//! | source that sent invalid headers | 60 s | - | avoided |
//! | source of [`fetch_block`], no data | 5 s | - | the next peer is requested |
//! | tip without a new block | 60 min | `manager.stale_tip_timeout` | [`TipStale`] |
//! | sync of the header file to disk | 5 s | - | - |
//!
//! Side chains may have more headers if the active chain has more than 100,000 above its last
//! checkpoint. If `stale_tip_timeout` is zero, `TipStale` is disabled.
//!
//! # Transactions
//!
//! | limit | default | effect |
//! | --- | --- | --- |
//! | transactions offered at once | 1,000 and 64 MiB | [`TooManyTransactions`] |
//! | duration of an offer | 30 min | the transaction is no longer announced or served |
//! | delay of the second announcement | 5 s | - |
//! | one transaction to one peer | 3 times | further requests are ignored |
//! | peers in each list of a [`BroadcastReport`] | 1,000 | further peers are not recorded |
//!
//! # Other limits
//!
//! | limit | default | setting | effect |
//! | --- | --- | --- | --- |
//! | Teranode: entries of one request | 505 | - | a longer request is split |
//! | Teranode: entries of `inv`, `getdata` or `notfound` | 50,000 | - | rejected before it is sent |
//! | Teranode: hashes of a locator | 500 | - | rejected before it is sent |
//! | bloom filter: size | 36,000 bytes | - | the message is rejected |
//! | bloom filter: hash functions | 50 | - | the message is rejected |
//! | bloom filter: element | 520 bytes | - | the message is rejected |
//! | local node: blocks of a [`Chain`] | 1 GiB | [`with_max_bytes`] | side branches are evicted |
//! | local node: transaction pool | 32 MiB, 50,000 transactions | [`LocalNodeConfig`] | - |
//! | local node: transactions that wait for parents | 10,000 and 32 MiB | - | - |
//! | log: contents of one message at `trace` | 2,000 bytes | - | the rest is omitted |
//!
//! If a [`Chain`](crate::local_node::Chain) cannot evict enough blocks, it rejects the new block.
//!
//! # Threads
//!
//! Dropping a handle ends its threads and joins them. The exception is the helper thread of a name
//! lookup by the system, which ends when the system returns.
//!
//! | owner | threads |
//! | --- | --- |
//! | [`Connection`](crate::Connection) | none |
//! | [`PeerConnectionActor`] | one per stream or accepted socket, and a writer per stream while its queue is not empty |
//! | [`Supervisor`](crate::connection::Supervisor) | one, in addition to its connections |
//! | [`Manager`] | one, and one each for a listener, a store, a lookup of seeds, and a followed chain |
//! | [`LocalNode`](crate::local_node::LocalNode) | two, in addition to its connections and accepted sockets |
//!
//! Each stream and each accepted socket has one thread and one descriptor. A manager has at most
//! `max_connections` first streams, `max_connections` second streams, `max_handshakes` sockets
//! before their decision, and `max_capacity_rejects` connections that are being rejected. At most
//! three further accepted sockets wait without a thread.
//!
//! [`BlockReaderAbandoned`]: crate::session::DisconnectReason::BlockReaderAbandoned
//! [`BlockReader`]: crate::connection::BlockReader
//! [`BlockVisitor`]: crate::connection::BlockVisitor
//! [`BroadcastReport`]: crate::manager::BroadcastReport
//! [`Chain`]: crate::local_node::Chain
//! [`Connection::close`]: crate::Connection::close
//! [`Connection::receive`]: crate::Connection::receive
//! [`Connection`]: crate::Connection
//! [`ExpectedPayloads`]: crate::wire::ExpectedPayloads
//! [`Lagged`]: crate::event::ControlEvent::Lagged
//! [`LocalNodeConfig`]: crate::local_node::LocalNodeConfig
//! [`MAX_PEERS`]: crate::peers::InMemoryPeerStore::MAX_PEERS
//! [`MIN_PER_PEER`]: crate::PayloadMemory::MIN_PER_PEER
//! [`Manager`]: crate::Manager
//! [`OverflowPolicy`]: crate::connection::OverflowPolicy
//! [`PayloadMemoryExhausted`]: crate::session::DisconnectReason::PayloadMemoryExhausted
//! [`PeerConnectionActor`]: crate::connection::PeerConnectionActor
//! [`ShutdownTimedOut`]: crate::Error::ShutdownTimedOut
//! [`SlowReader`]: crate::session::DisconnectReason::SlowReader
//! [`TipStale`]: crate::event::ControlEvent::TipStale
//! [`TooManyTransactions`]: crate::Error::TooManyTransactions
//! [`TooSlow`]: crate::event::SubscriptionEndReason::TooSlow
//! [`block`]: crate::connection::PeerConnectionHandle::block
//! [`capacity`]: crate::connection::SubscriptionOptions::capacity
//! [`fetch_block`]: crate::Manager::fetch_block
//! [`kept_limit`]: crate::wire::PayloadLimits::kept_limit
//! [`max_buffered_transaction`]: crate::connection::BlockReader::max_buffered_transaction
//! [`skipped`]: crate::manager::TipUpdate::skipped
//! [`subscribe_blocks`]: crate::Manager::subscribe_blocks
//! [`transactions`]: crate::connection::PeerConnectionHandle::transactions
//! [`with_max_bytes`]: crate::local_node::Chain::with_max_bytes
//! [`with_side_capacity`]: crate::wire::HeaderChain::with_side_capacity
