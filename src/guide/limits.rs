//! All limits, with their defaults.
//!
//! Every queue, table and wait of this library has a limit. The table lists them by area. A path in
//! the column "setting" is a field of a configuration; fields of
//! [`ConnectionConfig`](crate::ConnectionConfig), [`SessionConfig`](crate::session::SessionConfig)
//! (`session.`), [`PayloadLimits`](crate::wire::PayloadLimits) (`session.limits.`),
//! [`ManagerConfig`](crate::ManagerConfig) (`manager.`) and
//! [`RestartConfig`](crate::connection::RestartConfig) (`manager.restarts.`) are written this way.
//! A limit without a setting is fixed.
//!
//! `manager.connection` contains the [`ConnectionConfig`](crate::ConnectionConfig) of a manager.
//! The documentation of each field states when an update takes effect.
//!
//! # Table
//!
//! | area | limit | default | setting | effect |
//! | --- | --- | --- | --- | --- |
//! | payload | general payload of a message, as announced by `protoconf` | 2 MiB (at least 1 MiB) | `session.limits.general` | A longer frame closes the connection as soon as its header arrived. |
//! | payload | `tx`, `datareftx` | 1,000,000,000 bytes | `session.limits.transaction` | A longer frame closes the connection. |
//! | payload | `block`, `cmpctblock`, `blocktxn`, `hdrsen` | 2^63 - 1 bytes | `session.limits.block` | A longer frame closes the connection. |
//! | payload | `getblocktxn` | 6 bytes for each 215 bytes of `limits.block`, plus a frame header | - | A longer frame closes the connection. |
//! | payload | `protoconf` | 1 MiB | - | A longer frame closes the connection. |
//! | payload | ceiling over all of the above but `protoconf` | none | `session.limits.ceiling` | A longer frame closes the connection. |
//! | payload | every message but `protoconf`, before the handshake is complete | 64 KiB | - | A longer frame closes the connection. |
//! | payload | payload kept in memory | 32 MiB | `session.limits.buffered` | A longer payload is discarded while it arrives, and [`PayloadDiscarded`](crate::event::ControlEvent::PayloadDiscarded) is emitted. |
//! | payload | block or transaction that was not requested, kept in memory | 1 MiB | `session.limits.unrequested` | It is discarded while it arrives, and `PayloadDiscarded` is emitted. |
//! | payload | answer above the limit of its command | see [`ExpectedPayloads`](crate::wire::ExpectedPayloads) | - | It is discarded. The request fails, and the connection stays open. |
//! | payload | user agent | 256 bytes | - | The handshake fails. |
//! | payload | read buffer of an idle peer | 4 KiB | - | It grows to 64 KiB while data arrives. |
//! | memory | payloads of one peer, until the last holder drops them | 64 MiB (at least `limits.buffered`) | `max_payload_memory` | The peer is not read. |
//! | memory | payloads of all peers that share a [`PayloadMemory`](crate::PayloadMemory) | 512 MiB | `manager.max_payload_memory` | The peer is not read. |
//! | memory | excess over both budgets, by the last read | 64 KiB per connection | - | - |
//! | memory | wait for payload memory | 30 s | `payload_memory_timeout` | The connection is closed with [`PayloadMemoryExhausted`](crate::session::DisconnectReason::PayloadMemoryExhausted). |
//! | memory | messages kept by a [`Connection`](crate::Connection) while a request waits | 32 MiB | `max_receive_queue_bytes` | The oldest message is dropped and counted. |
//! | memory | block data queued for a [`BlockReader`](crate::connection::BlockReader) | 2 MiB | - | The peer is not read. |
//! | memory | transaction that a [`BlockVisitor`](crate::connection::BlockVisitor) receives in one piece | 1 MiB | [`max_buffered_transaction`](crate::connection::BlockReader::max_buffered_transaction) | A longer one may be delivered in pieces. |
//! | memory | index of a block | 8 bytes per transaction | - | - |
//! | queue | bytes to send, per stream | 16 MiB | `max_send_queue_bytes` | `send` waits, `try_send` fails. A longer message is accepted if the queue is empty. |
//! | queue | messages to send, per stream | 10,000 | `max_send_queue_messages` | `send` waits, `try_send` fails. |
//! | queue | protocol replies to send, per stream | 1 MiB and 4,096 messages | - | The connection is closed with [`SlowReader`](crate::session::DisconnectReason::SlowReader). |
//! | queue | events of a subscription | 1,024 | [`SubscriptionOptions::capacity`](crate::connection::SubscriptionOptions::capacity) | See [`OverflowPolicy`](crate::connection::OverflowPolicy). |
//! | queue | events waiting for subscriptions, per stream | 4 MiB and one message | `max_subscriber_backlog_bytes` | The stream is not read. An event counts as its payload and 512 bytes. |
//! | queue | control events of a control subscription | 1,024 | - | Further events are dropped and reported by [`Lagged`](crate::event::ControlEvent::Lagged). |
//! | queue | updates of [`subscribe_blocks`](crate::Manager::subscribe_blocks) | 1,024 | - | Further updates are counted in [`TipUpdate::skipped`](crate::manager::TipUpdate::skipped). |
//! | queue | open requests per peer | 1,024 | - | [`Error::TooManyRequests`](crate::Error::TooManyRequests) |
//! | time | name resolution | 10 s | `resolve_timeout` | The request fails with an error that names the wait. |
//! | time | TCP connection, per address | 10 s | `connect_timeout` | The next address is dialed, or the connection fails. |
//! | time | handshake, and the answer to a request for a second stream | 30 s | `session.handshake_timeout` | The connection is closed. A stream request without an answer is abandoned. |
//! | time | next 64 KiB of a payload | 20 s | `read_stall_timeout` | The connection is closed. |
//! | time | whole payload | 60 s and 1 s per 64 KiB | - | The connection is closed. |
//! | time | write of a frame | 20 s and 1 s per 256 KiB | `write_timeout` | The connection is closed. |
//! | time | interval of pings | 5 min; at most 60 s to a Teranode | `session.ping_interval` | A Teranode closes silent connections after 125 s. |
//! | time | answer to a ping | 60 s | `session.ping_timeout` | The connection is closed. The time is suspended while a large frame is transferred. |
//! | time | silence of a peer | 20 min | `session.idle_timeout` | The connection is closed. |
//! | time | TCP keepalive | after 60 s | `tcp_keepalive` | The system probes the peer. `None` disables it. |
//! | time | subscription that takes no event while a peer is not read | 30 s | `subscriber_timeout` | The subscription ends as [`TooSlow`](crate::event::SubscriptionEndReason::TooSlow). |
//! | time | block reader that takes nothing while its queue is full | 30 s | `block_reader_timeout` | The connection is closed with [`BlockReaderAbandoned`](crate::session::DisconnectReason::BlockReaderAbandoned). |
//! | time | recommended timeout for [`addresses`](crate::Connection::addresses) | 120 s | [`DEFAULT_ADDRESSES_TIMEOUT`](crate::connection::DEFAULT_ADDRESSES_TIMEOUT) | - |
//! | time | shutdown of a manager | 10 s | `manager.shutdown_timeout` | [`Error::ShutdownTimedOut`](crate::Error::ShutdownTimedOut) |
//! | time | update of the configuration of a live connection | 1 s | - | - |
//! | misbehavior | score that closes a connection | 100 | `session.ban_threshold` | A manager bans the peer. |
//! | misbehavior | frames with an invalid checksum before each one scores | 100 in one burst, with gaps below 500 ms | - | - |
//! | restart | immediate restarts after a network failure | 3 per hour | `manager.restarts.max_immediate_restarts`, `restart_window` | Further failures are followed by a pause. |
//! | restart | pause after a failure | 5 s, doubled up to 10 min | `manager.restarts.backoff`, `max_backoff` | A pause is up to a quarter shorter than this. |
//! | restart | restarts in a row that follow a pause | 10 | `manager.restarts.max_delayed_restarts` | The peer becomes inaccessible. `None`: never. |
//! | restart | pause after a local fault | 250 ms, doubled up to 30 s | - | Nothing is recorded about the peer. |
//! | restart | duration of a connection that resets the counters | 60 s | - | - |
//! | connections | target | 8 | `manager.target_connections` | 0 disables dialing of peers that the caller does not name. |
//! | connections | maximum | 20 | `manager.max_connections` | Second streams do not count. |
//! | connections | slots reserved for outbound connections | 4 | `manager.min_outbound` | At most the target and half of the maximum. |
//! | connections | rate of dialing | 32 at once, then one per 250 ms | - | - |
//! | connections | pause before an unreachable or unsuitable peer is dialed again | 1 hour | `manager.cooldown` | - |
//! | inbound | concurrent handshakes | 64 | `manager.listener.max_handshakes` | The oldest stalled handshake is closed, or the new connection waits in the kernel. |
//! | inbound | age of a stalled handshake that is closed for a new one | 500 ms without a `version`, 2 s with one | - | Shorter with more than 8 of them, down to 25 ms and 500 ms. |
//! | inbound | concurrent handshakes per address or IPv6 /64 | 4 | `manager.listener.max_handshakes_per_address` | The socket is closed. |
//! | inbound | handshake | 10 s | `manager.listener.handshake_timeout` | The connection is closed. |
//! | inbound | connections per address or IPv6 /64 | 8 | `manager.listener.max_per_address` | The socket is closed. |
//! | inbound | peers that are rejected with a handshake and a `reject` at once | 16 | `manager.listener.max_capacity_rejects` | Further sockets are closed. |
//! | inbound | pause before a failed bind is repeated | 10 s | `manager.listener.bind_retry` | - |
//! | inbound | connection for a second stream, until the first stream is ready | 5 s | - | The second stream is refused. |
//! | peers | known peers of a manager | 10,000 (at most 50,000) | `manager.max_known_peers` | The least valuable peer is forgotten. |
//! | peers | peers in any store or file | 50,000 | [`InMemoryPeerStore::MAX_PEERS`](crate::peers::InMemoryPeerStore::MAX_PEERS) | - |
//! | peers | bans | 10,000 (at most 50,000) | `manager.bans.max_bans` | The oldest automatic ban is replaced. |
//! | peers | duration of an automatic ban | 24 hours | `manager.bans.automatic_duration` | - |
//! | peers | IPv6 prefix of an automatic ban | 64 bits | `manager.bans.automatic_ipv6_prefix` | - |
//! | peers | interval of saving | 5 min | `manager.save_interval` | The store is also saved after bans and at the end. It is written at most once per second. |
//! | discovery | DNS seeds | 64 | `manager.discovery.seeds` | The configuration is rejected. |
//! | discovery | interval of lookups | 1 hour | `manager.discovery.interval` | 30 s, doubled, while all seeds fail; 60 s while there are neither connections nor candidates. |
//! | discovery | lookup of one seed | 10 s | `manager.discovery.timeout` | The lookup fails. |
//! | discovery | one query to a name server | 2 s, two rounds | - | The next server is queried. |
//! | discovery | end of a lookup after cancellation | 100 ms | - | - |
//! | discovery | addresses of one seed | 256 | - | Further addresses are ignored. |
//! | addresses | addresses of an outbound peer in addition to one answer of 1,000 | 50, then one per 10 s | - | Further addresses are ignored. |
//! | addresses | age of an advertised address | 1 week | - | Older addresses are ignored. |
//! | addresses | ports of one address | 4 | - | Further ports are ignored. |
//! | addresses | known peers from one address group | one eighth of `manager.max_known_peers` | - | Unverified addresses of the group are replaced. |
//! | addresses | addresses in an answer to `getaddr` | 23 % of the known peers, at most 1,000 | - | The answer stays the same for a day. |
//! | addresses | interval of announcing the own address | 8 hours | - | - |
//! | chain | headers per message | 2,000 | - | - |
//! | chain | headers of side chains | 100,000, or the length of the active chain above its last checkpoint if that is more | [`with_side_capacity`](crate::wire::HeaderChain::with_side_capacity) | The branch with the least work is evicted. |
//! | chain | memory per header | 91 to 96 bytes on the active chain, about 350 bytes on a side chain | - | - |
//! | chain | time of a header ahead of the clock | 2 hours | - | The header is rejected. |
//! | chain | answer of a source before another one is requested as well | 2 s | - | - |
//! | chain | answer of a source: no data, or incomplete | 10 s, 60 s | - | The request is canceled. |
//! | chain | rate of a source that has more headers | 100 headers per second | - | A slower source is replaced. |
//! | chain | source that sent invalid headers | avoided for 60 s | - | - |
//! | chain | source of [`fetch_block`](crate::Manager::fetch_block) that sends no data | 5 s | - | The next peer is requested. |
//! | chain | tip without a new block | 60 min | `manager.stale_tip_timeout` | [`TipStale`](crate::event::ControlEvent::TipStale) is emitted. Zero disables it. |
//! | chain | header file, until it survives a power failure | 5 s | - | - |
//! | transactions | transactions offered at once | 1,000 and 64 MiB | - | [`Error::TooManyTransactions`](crate::Error::TooManyTransactions) |
//! | transactions | duration of an offer | 30 min | - | The transaction is no longer announced or served. |
//! | transactions | announcement to the remaining peers | after 5 s | - | - |
//! | transactions | one transaction to one peer | 3 times | - | Further requests are ignored. |
//! | transactions | peers in each list of a [`BroadcastReport`](crate::manager::BroadcastReport) | 1,000 | - | Further peers are not recorded. |
//! | Teranode | entries of one request | 505 | - | A longer request is split. |
//! | Teranode | entries of an `inv`, `getdata` or `notfound` | 50,000 | - | The message is rejected before it is sent. |
//! | Teranode | hashes of a locator | 500 | - | The message is rejected before it is sent. |
//! | bloom filter | size, hash functions, element | 36,000 bytes, 50, 520 bytes | - | The message is rejected. |
//! | local node | blocks of a [`Chain`](crate::local_node::Chain) | 1 GiB | [`Chain::with_max_bytes`](crate::local_node::Chain::with_max_bytes) | Blocks of weaker side branches are evicted. Otherwise the block is rejected. |
//! | local node | transaction pool | 32 MiB and 50,000 transactions | [`LocalNodeConfig`](crate::local_node::LocalNodeConfig) | - |
//! | local node | transactions that wait for parents | 10,000 and 32 MiB | - | - |
//! | log | contents of one message at `trace` | 2,000 bytes | - | The rest is omitted. |
//!
//! # Memory
//!
//! The buffer of a payload grows with the bytes that arrived, and never by the length that a header
//! claims. Payloads above `limits.buffered` are discarded while they arrive. Blocks and
//! transactions keep the buffer in which they arrived, and are read through views that borrow from
//! it.
//!
//! A payload counts from its arrival until the last message, block or slice that shares it is
//! dropped. A peer without payload memory is not read, and is disconnected after
//! `payload_memory_timeout`.
//!
//! An idle peer of a manager takes 32.6 KiB of resident memory, and 57.1 KiB with two streams; see
//! [`performance`](super::performance).
//!
//! # Queues
//!
//! A subscription first fills its own queue. Further events wait per stream, in at most
//! `max_subscriber_backlog_bytes` and one message. Pings are still answered then. When the backlog
//! is full, the stream is no longer read, and TCP holds the peer back. A subscription that takes
//! nothing for `subscriber_timeout` in this state ends. A slow subscription therefore only ends
//! itself. [`OverflowPolicy::DropNewest`](crate::connection::OverflowPolicy::DropNewest) drops
//! events instead.
//!
//! Dropped events are counted and reported.
//!
//! # Time
//!
//! If a wait times out, the error or the [`DisconnectReason`](crate::session::DisconnectReason)
//! names it. The pings to a Teranode are also sent while the peer is not read.
//!
//! # Threads
//!
//! Dropping a handle ends its threads and joins them. One exception is the helper thread of a name
//! lookup by the system: it ends when the lookup of the system ends.
//!
//! | owner | threads |
//! | --- | --- |
//! | [`Connection`](crate::Connection) | none |
//! | [`PeerConnectionActor`](crate::connection::PeerConnectionActor) | one per stream, and a writer per stream while its queue is not empty |
//! | [`Supervisor`](crate::connection::Supervisor) | one, in addition to its connections |
//! | [`Manager`](crate::Manager) | one, and one each for a listener, a store, a lookup of seeds, and a followed chain |
//! | [`LocalNode`](crate::local_node::LocalNode) | two, in addition to its connections |
