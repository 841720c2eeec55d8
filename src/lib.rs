//! Countersign: step-up authentication, from the request for proof to the one approval.
//!
//! A caller (payment service, agent desktop, customer portal, IVR) asks over gRPC that a subject prove
//! to be who they claim to be. The service sends a one-time code over a permitted channel, judges the
//! answer, and returns `APPROVED` exactly once. This page is the map of the code.
//!
//! # Decide, commit, answer
//!
//! 1. *Decide.* [`domain`] is a pure state machine: a record, a command and the time in, a decision out.
//! 2. *Commit once.* Everything that follows from a decision (the record, when it is next due, its events)
//!    is written by one compare-and-swap on one record. If the record has changed meanwhile, nothing is
//!    written and the decision is made again on the fresh record, a bounded number of times.
//! 3. *Answer after.* A verdict leaves the process only after its commit. So parallel guesses,
//!    however many, are not *answered* more often than the limit, a code approves once, and no message is
//!    sent for a verification that was not stored.
//!
//! That loop is `service/record/transact.rs`; every use case goes through it. The service has three parts that own
//! their state, and use cases compose them: `Records` (the store, the vault, that loop), `Limits` (quotas, budgets, the
//! pumping guard) and `Courier` (routes, breakers, the hook, hands, texts).
//!
//! # Layers
//!
//! ```text
//!              main ── cli ── app ── config, keys, telemetry       composition: may see all
//!                             │
//!     inbound ────────────────┼──────────────── outbound
//!     grpc  http  worker      │           store   sender   system  adapters: never see each other
//!       | \  /|     /         │             │        │        │
//! listener  service ── message┴─────────▶ ports ◀────┴────────┘
//!              \                            │
//!               └────────▶ domain ◀─────────┘                      pure: sees nothing of ours but `format`
//!                             │
//!                           format                                 published formats: see nothing of ours
//! ```
//!
//! | layer | holds | sees |
//! |---|---|---|
//! | [`mod@format`] | published formats (base58, GSM-7, MACs, Standard Webhooks), each with its specification and test vectors | nothing of ours |
//! | [`domain`] | the subject record, the decisions, codes, seals, limits | `format` |
//! | [`ports`] | what the service needs from outside: store, sender, hook, clock, entropy | `domain`, `format` |
//! | [`message`] | the texts: templates, their lint, what customers are told | `ports`, `domain`, `format` |
//! | [`service`] | the use cases, one verb per file; the vault that seals records | `message`, `ports`, `domain`, `format`; the vault also the stored protos |
//! | [`listener`] | what the three listeners have in common: connections, TLS, bodies, the limits of peers | `format` |
//! | [`grpc`], [`http`], [`worker`] | the adapters that call the use cases | `service`, `ports`, `domain`, `format`; `grpc` and `http` also `listener`, `grpc` the public protos |
//! | [`store`], [`sender`], [`system`] | the implementations of the ports; [`store::redis`] explains how Redis is used | `ports`, `domain`, `format`; `sender` also the public protos |
//! | [`config`] | the settings, each read into the type that its user defines, with its secrets | all layers above except `worker` and `system` |
//! | [`keys`], [`telemetry`] | key files, logs and metrics | `config`, `domain`; `keys` also `format` |
//! | [`app`], [`cli`] | composition, the command line | all |
//!
//! `tests/tidy.rs` checks these edges, the external crates of each layer, and the length of files.
//!
//! # Rooms
//!
//! The domain is divided by subject; `tests/tidy` calls each part a room. Next to them, [`domain::ids`],
//! [`domain::time`] and [`domain::refusal`] are used by all.
//!
//! | room | holds |
//! |---|---|
//! | [`domain::caller`] | the authenticated caller, its roles, and the table of who may call which method |
//! | [`domain::code`] | the derivation of a code, the parsing of a guess, the secret of a link in an e-mail |
//! | [`domain::recipient`] | channels and addresses in canonical form, number plans, which numbers may get a message, known and test recipients |
//! | [`domain::delivery`] | one delivery: leases, routes, breakers, hands, channel plans, receipts, reasons of failure |
//! | [`domain::verification`] | one verification: its phases and outcomes, the limits of its action, the details that are bound to its code |
//! | [`domain::limit`] | rates, failure counts, quotas, the pumping guard, spend budgets |
//! | [`domain::audit`] | the events of the audit trail |
//! | [`domain::record`] | what is stored: the subject record, side records, and their keys |
//! | [`domain::crypto`] | the key ring and its subkeys, the seal of stored data |
//! | [`domain::decide`] | the commands, by room: they see all other rooms, and no other room sees them |
//!
//! The same word names the folder in `decide`, [`service`], [`grpc`], [`config`] and `tests/it`, where that layer has
//! something of the room. A few folders serve several rooms and have names of their own: `grpc/entrance`,
//! `tests/it/harness`, and `http/pages`, the web pages that customers open, with its tests in
//! `tests/it/pages`.
//!
//! # Invariants
//!
//! - One record per subject: what must change together is together, so no transaction spans two records.
//! - A code is derived from a key in the process and a nonce in the record. Neither it nor a digest of it
//!   is stored. A closed verification keeps no nonce.
//! - The store never sees what it keeps: records and events are sealed, and names are keyed hashes.
//! - A closed verification stays closed, with one outcome and one closing event.
//! - Attempts are bounded per verification and failures per subject; no resend and no new start refills them.
//! - A message is drawn from its quotas once, after the repeat check and before the commit, and never given back.
//! - What anonymous starts use up stops no vouched customer: one person is counted apart for each origin, and of what many
//!   share a part is left.
//! - A receipt changes a delivery and never a verdict, and no delivery moves backwards.
//! - A breaker delays a message but never fails it; skipping a sender costs no attempt.
//! - Nothing is sent after the end of a verification, and one verification has one code on all channels.
//! - A message that can be sent is sent right after its commit; the due index is only a safety net.
//! - A slow sender delays only its own messages: hands are per sender, and a delivery that waits for one holds no
//!   lease.
//! - An end is judged by the later of two clocks, a beginning by the earlier, so a wrong clock never loosens a rule.
//! - A commit goes only to the server that gave the record: after a failover it is a conflict, and the next decision
//!   knows of the failover.
//! - Only `grpc/status.rs` makes a status; a wrong code is an answer, not an error.
//!
//! # One e-mail code, from file to file
//!
//! 1. [`listener`] accepts the connection, which is on trial until its first admitted call; [`grpc::entrance`] judges the
//!    headers before anything reads the body: it finds the caller by the hash of its key, checks its role, counts the
//!    call, and sets the deadline.
//! 2. `grpc/verification/convert.rs` parses every field into a type that allows only valid values, or reports all
//!    violations.
//! 3. [`service::verification::start`] resolves the action's limits and screens the recipients. The rest runs in a task
//!    of its own, so that a caller that gives up loses only its answer. [`domain::decide::start`] supersedes an older
//!    verification of the same contact, chooses the recipient, and makes the first delivery, leased to this process if
//!    the sender whose turn it is has a free hand in [`service::delivery::hands`]. [`service::limit`] draws that one
//!    message from every quota it counts against, by one call of the store: from all or from none. (On a Redis Cluster,
//!    one call for each slot, in order: what was drawn before a refusal stays drawn. Quotas that the slices of this
//!    process cover need no call.)
//! 4. [`service::record::vault`] seals the record; [`store`] swaps it in and indexes its `wake_at`. Only now the caller
//!    gets its answer, and the reserved hand gets the delivery. If all hands of the sender are full, the delivery waits
//!    without a lease for the next free one.
//! 5. [`worker`] lets `service/delivery/deliver.rs` load the record again: is the lease ours, is the verification
//!    alive? Then the code is derived, [`message`] renders the mail, and [`sender::smtp`] hands it over. The report is
//!    one more commit; if the mail goes on to the next sender, that commit also leases it anew. A step of a plan or a
//!    retry is sent at an alarm of this process. If the process dies in between, the lease ends, the record is due
//!    again, and the process that finds it sends the same code.
//! 6. The customer types the code; [`service::verification::check`] runs [`domain::decide::check`]: repeats first, then
//!    the end, then the form of the guess, then the budgets, then the comparison in constant time.
//!    The commit spends the attempt, and then the verdict leaves.
#![cfg_attr(
    test,
    allow(clippy::too_many_lines, reason = "a test tells its story in one piece")
)]

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod format;
pub mod grpc;
pub mod http;
pub mod keys;
pub mod listener;
pub mod message;
pub mod pb;
pub mod ports;
pub mod sender;
pub mod service;
pub mod store;
pub mod system;
pub mod telemetry;
pub mod worker;
