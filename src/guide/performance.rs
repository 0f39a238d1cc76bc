//! Benchmark results, and the commands that reproduce them.
//!
//! All results were measured on two cores of an AMD EPYC. Each row compares the library with a
//! baseline: a minimal implementation, a limit, or another program. Both ran in turns, in the same
//! process unless the section states otherwise. The ratio is the median of all rounds. It may
//! differ from the ratio of both results, which are medians of their own.
//!
//! If a ratio is above 1, this library is faster. For round trips, memory and durations, the ratio
//! is the value of this library divided by the baseline, so a lower ratio is better.
//!
//! The commands must be run in the root of the repository. Each command prints the table below it.
//!
//! # Connection
//!
//! ```sh
//! cargo bench --manifest-path tests/bench/Cargo.toml --bench connection
//! ```
//!
//! | workload | this library | baseline | result | ratio | target | met |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | receive blocks of 1 MB, `Connection` | 806 MB/s of a core | `recv` and SHA-256 | 921 MB/s of a core | 0.89 | at least 0.95 | no |
//! | receive blocks of 1 MB, actor | 808 MB/s of a core | `recv` and SHA-256 | 921 MB/s of a core | 0.89 | at least 0.95 | no |
//! | receive blocks of 4 MB, `Connection` | 793 MB/s of a core | `recv` and SHA-256 | 919 MB/s of a core | 0.86 | at least 0.95 | no |
//! | receive blocks of 4 MB, actor | 847 MB/s of a core | `recv` and SHA-256 | 919 MB/s of a core | 0.92 | at least 0.95 | no |
//! | receive blocks of 30 MB, `Connection` | 792 MB/s of a core | `recv` and SHA-256 | 844 MB/s of a core | 0.94 | at least 0.9 | yes |
//! | receive blocks of 30 MB, actor | 738 MB/s of a core | `recv` and SHA-256 | 844 MB/s of a core | 0.89 | at least 0.9 | no |
//! | inv of one to a subscriber | 1434 ns | read, SHA-256d, shared pointer, channel | 560 ns | 0.41 | at least 0.9 | no |
//! | inv of one to a subscriber | 1434 ns | loop with `bitcoin` 0.32 | 987 ns | 0.78 | above 1.0 | no |
//! | inv of one to a subscriber | 1434 ns | minimal implementation of the guarantees | 987 ns | 0.68 | at least 0.8 | no |
//! | ping, answered | 652 ns | read, SHA-256d, shared pointer, channel | 3769 ns | 6.22 | at least 0.9 | yes |
//! | ping, answered | 652 ns | loop with `bitcoin` 0.32 | 4179 ns | 6.65 | above 1.0 | yes |
//! | ping round trip, `Connection` to actor | 29.1 µs | TCP echo | 21.4 µs | 1.37 | at most 2.0 | yes |
//! | ping round trip, handle of an actor to actor | 42.6 µs | TCP echo | 21.4 µs | 2.00 | at most 2.0 | yes |
//!
//! **Blocks**: "MB/s of a core" is the number of bytes per second of CPU time of the receiving
//! threads. The library returns a decoded block with a verified checksum. The baseline receives the
//! same number of bytes into a new buffer and hashes them.
//!
//! **Small messages**: the first baseline for `inv` and `ping` is a minimal loop. It reads,
//! verifies the checksum, and passes the payload on through a shared pointer and a channel. This
//! loop and the loop with `bitcoin` write each `pong` separately. If several pings arrive together,
//! this library writes all replies at once.
//!
//! The third baseline for `inv` is a minimal implementation of the guarantees of a connection. It
//! also decodes messages, counts them and their bytes, and tracks their memory. It identifies the
//! sender, and other threads can query its state. This row shows why a ratio of 0.9 to the minimal
//! loop is not reachable. The results depend on the scheduling of two threads, and vary between
//! runs: from 0.36 to 0.57 of the minimal loop, from 0.68 to 0.93 of the guarantees, and from 0.77
//! to 1.12 compared with `bitcoin`.
//!
//! **Round trips**: the TCP echo transfers the same number of bytes without reading them. It takes
//! from 8 µs to 21 µs, depending on the machine and on the cores on which the system schedules its
//! two threads. The ping of a handle has a ratio from 1.6 to 2.2, because it wakes three threads. It
//! uses the second stream.
//!
//! `bitcoin-p2p` 0.0.2 is not in the table, because creating its `P2P` causes a segmentation fault.
//!
//! # Streaming
//!
//! Blocks are read while they arrive. Checksum, structure and merkle root are verified at the end.
//! The baseline is one thread that receives into a reused buffer and computes the same hashes of
//! payload, transactions and tree. The sender is a separate process. The block of 5 GiB arrives in
//! an extended frame.
//!
//! ```sh
//! cargo bench --manifest-path tests/bench/Cargo.toml --bench streaming
//! ```
//!
//! | workload | this library | baseline | result | ratio | target | met |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | stream a block of 1 GiB, visited | 875 MB/s | `recv` and the same hashes | 563 MB/s | 1.55 | at least 0.9 | yes |
//! | stream a block of 1 GiB, read | 863 MB/s | `recv` and the same hashes | 563 MB/s | 1.54 | at least 0.9 | yes |
//! | resident memory while a block of 5 GiB is streamed | 6.2 MiB, at 875 MB/s | 64 MiB; `recv` alone | 6442 MB/s | 0.10 | at most 1.0 | yes |
//!
//! # Manager
//!
//! The manager has one thousand inbound peers on loopback. The peers run in a separate process, and
//! implement only the protocol. The duration of the `inv` broadcast is the median of 21 runs. One
//! peer sends all pings. The same peers then complete handshakes with a Bitcoin SV node and ping it,
//! in turns with the manager.
//!
//! For received messages, the benchmark measures the CPU time of the process and not their rate.
//! "Bare threads" are the same number of threads that only read and verify the checksum of each
//! message. They show the part of the system, which wakes two threads for each message.
//!
//! ```sh
//! export BSV_NODE=$(.ci/fetch-real-node target/node)
//! cargo bench --manifest-path tests/bench/Cargo.toml --bench manager
//! ```
//!
//! | workload | this library | baseline | result | ratio | target | met |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | 1,000 handshakes | 0.15 s | at most | 5.00 s | 0.03 | at most 1.0 | yes |
//! | resident memory for each of 1,000 peers | 32.6 KiB | at most | 64.0 KiB | 0.51 | at most 1.0 | yes |
//! | 1,000 peers, idle, share of a core | 0.8 % | at most | 2.0 % | 0.41 | at most 1.0 | yes |
//! | one inv to 1,000 peers, until the last has it | 10.2 ms | at most | 50.0 ms | 0.20 | at most 1.0 | yes |
//! | resident memory for each of 1,000 peers with two streams | 50.8 KiB | at most | 48.0 KiB | 1.06 | at most 1.0 | no |
//! | 1,000 peers with two streams, idle, share of a core | 0.9 % | at most | 1.0 % | 0.91 | at most 1.0 | yes |
//! | 1,000 peers, one inv per second each to one subscriber, share of a core | 3.9 % | at most; idle 1.3 %, bare threads 3.3 % | 3.0 % | 1.31 | at most 1.0 | no |
//! | CPU time of an inv from one of 100 peers | 21.5 µs | 10 peers; bare threads 1.06 | 18.3 µs | 1.11 | at most 1.2 | yes |
//! | CPU time of an inv from one of 1000 peers | 24.4 µs | 10 peers; bare threads 1.14 | 18.3 µs | 1.37 | at most 1.2 | no |
//! | CPU time of an inv from one of 5000 peers | 23.8 µs | 10 peers; bare threads 1.20 | 18.3 µs | 1.26 | at most 1.2 | no |
//! | CPU time of an inv from one of 5000 peers | 23.8 µs | bare threads | 20.3 µs | 1.20 | at most 2.0 | yes |
//! | handshakes | 6704 /s | Bitcoin SV node 1.0.13 | 4370 /s | 1.55 | at least 1.0 | yes |
//! | pings answered | 1353091 /s | Bitcoin SV node 1.0.13 | 81904 /s | 16.37 | at least 1.0 | yes |
//!
//! # Header chain
//!
//! The chain has 950,000 headers. The ratio is that of the speeds. The last row runs a manager and
//! a local node in one process.
//!
//! ```sh
//! cargo bench --manifest-path tests/bench/Cargo.toml --bench chain
//! ```
//!
//! | workload | this library | baseline | result | ratio | target | met |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | memory per header | 94.7 bytes | at most | 100 bytes | 0.95 | at most 1.0 | yes |
//! | add 512 headers while the index grows | 0.166 ms | at most | 1 ms | 0.17 | at most 1.0 | yes |
//! | add a side header 900,000 deep | 0.021 ms | at most | 1 ms | 0.02 | at most 1.0 | yes |
//! | extend, regtest | 323 ns | SHA-256d and a copy | 215 ns | 0.67 | at least 0.6 | yes |
//! | extend, 144-block rule | 377 ns | SHA-256d and a copy | 213 ns | 0.56 | at least 0.35 | yes |
//! | load from a file, regtest | 336 ns | read and SHA-256d | 224 ns | 0.67 | at least 0.6 | yes |
//! | load from a file, 144-block rule | 392 ns | read and SHA-256d | 224 ns | 0.57 | at least 0.35 | yes |
//! | sync from a local node | 333 ns | `recv` and SHA-256d | 207 ns | 0.61 | at least 0.4 | yes |
//!
//! # Two streams
//!
//! This benchmark shows the effect of the second stream. Two managers exchange transactions in both
//! directions, one at a time: `inv`, `getdata`, `tx`. At the same time, a block of one gigabyte is
//! transferred between them. The benchmark measures the duration of an exchange.
//!
//! A relay between the managers forwards 100 MB/s in each direction, regardless of the number of
//! connections. It forwards 16 KiB of one connection at a time. Everything runs in one process.
//! With a single stream, the first exchange completes only after the block, in both directions.
//!
//! ```sh
//! cargo bench --manifest-path tests/bench/Cargo.toml --bench streams
//! ```
//!
//! | concurrent transfer | direction of transactions | exchanges started | completed before its end | median | 99 % | max | ratio of medians | ratio of maxima |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | nothing, 5.0 s | with the block | 62384 | 62383 | 65 µs | 107 µs | 2.25 ms | 1.0 | 1.0 |
//! | nothing, 5.0 s | against it | 65108 | 65107 | 68 µs | 102 µs | 2.24 ms | 1.0 | 1.0 |
//! | a block, one stream, 10.0 s | with the block | 1 | 0 | 10.01 s | 10.01 s | 10.01 s | 154652.7 | 4457.0 |
//! | a block, one stream, 10.0 s | against it | 1 | 0 | 10.01 s | 10.01 s | 10.01 s | 148316.5 | 4469.8 |
//! | a block, two streams, 10.2 s | with the block | 34133 | 34132 | 282 µs | 656 µs | 14.91 ms | 4.4 | 6.6 |
//! | a block, two streams, 10.2 s | against it | 44757 | 44756 | 173 µs | 488 µs | 5.13 ms | 2.6 | 2.3 |
//!
//! If an exchange has the direction of the block, two of its messages share the path of the block.
//! Otherwise, one message does. Such a message waits until the relay has forwarded 16 KiB, which
//! takes 164 µs. The maxima are caused by the load of the two cores, which run everything.
//!
//! # Codec
//!
//! The codec is compared with the crates `bitcoin` 0.32 and `sv` 0.2 on the same bytes, in the same
//! run. The columns "faster than" contain the duration of the other library divided by that of this
//! library. The target for decoding a block is 5, compared with `bitcoin`. The other targets are 1,
//! compared with the faster library.
//!
//! ```sh
//! cargo bench --manifest-path tests/bench/Cargo.toml --bench codec
//! ```
//!
//! | workload | this library | `bitcoin` | `sv` | faster than `bitcoin` | faster than `sv` | target |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | decode a block of 4,000 transactions, ready to iterate | 83 µs | 2.34 ms | 1.93 ms | 28.3 | 23.4 | 5 |
//! | iterate over its inputs and outputs | 48 µs | 54 µs | 49 µs | 1.1 | 1.0 | 1 |
//! | all its txids | 1.48 ms | 1.99 ms | 5.79 ms | 1.4 | 3.9 | 1 |
//! | encode it | 45 µs | 258 µs | 469 µs | 5.7 | 10.4 | 1 |
//! | encode it from its transactions in parts | 185 µs | 283 µs | 478 µs | 1.5 | 2.6 | 1 |
//! | decode a block of 400,000 transactions, ready to iterate | 17 ms | 243 ms | 209 ms | 14.5 | 12.4 | 5 |
//! | iterate over its inputs and outputs | 14 ms | 20 ms | 17 ms | 1.4 | 1.2 | 1 |
//! | all its txids | 148 ms | 200 ms | 577 ms | 1.4 | 3.9 | 1 |
//! | encode it | 20 ms | 35 ms | 48 ms | 1.8 | 2.5 | 1 |
//! | encode it from its transactions in parts | 29 ms | 34 ms | 48 ms | 1.2 | 1.7 | 1 |
//! | decode inv of 50,000 | 354 µs | 1.91 ms | 634 µs | 5.4 | 1.8 | 1 |
//! | encode it | 153 µs | 167 µs | 477 µs | 1.1 | 3.1 | 1 |
//! | decode headers of 2,000 | 36 µs | 80 µs | 97 µs | 2.2 | 2.7 | 1 |
//! | encode it | 11 µs | 19 µs | 60 µs | 1.8 | 5.7 | 1 |
//! | decode addr of 1,000 | 4.60 µs | 92 µs | 26 µs | 20.1 | 5.7 | 1 |
//! | encode it | 4.22 µs | 17 µs | 16 µs | 4.1 | 3.9 | 1 |
//! | decode tx, two inputs and two outputs, ready to iterate | 41 ns | 317 ns | 292 ns | 7.8 | 7.2 | 1 |
//! | decode it into parts | 162 ns | 318 ns | 292 ns | 2.0 | 1.8 | 1 |
//! | encode it | 10 ns | 55 ns | 118 ns | 5.5 | 11.7 | 1 |
//! | encode it from parts | 44 ns | 55 ns | 108 ns | 1.3 | 2.5 | 1 |
//! | decode version | 58 ns | 237 ns | 124 ns | 4.1 | 2.1 | 1 |
//! | encode it | 20 ns | 39 ns | 63 ns | 2.0 | 3.2 | 1 |
//!
//! "It" in a row is the last decoded message above.
//!
//! **Iterating** adds up all numbers in the inputs and outputs, and the lengths and last bytes of
//! hashes and scripts.
//!
//! A block stays in the buffer in which it arrived, and decoding records the position of each
//! transaction. The other libraries build trees of vectors. If a caller reads only the lengths of
//! scripts and the block fits into the processor caches, `sv` is about 10 % faster. `sv` then reads
//! less data than the block contains. For larger blocks, `sv` is not faster.
//!
//! # Debug builds
//!
//! Without optimization, SHA-256 takes most of the time. [`recipes`](super::recipes#debug-builds)
//! shows the setting that avoids this.
