//! The one road of a change: load, decide, compare and swap, and only then the answer.

use crate::{
    domain::{
        audit::event::{Event, What},
        caller::{Caller, Roles},
        decide::{Context, Decision, Durability, Next, Outgoing, RefusedMessage, refused},
        ids::{SubjectKey, VerificationId},
        limit::quota::Dimension,
        record::subject::SubjectRecord,
        time::{Generation, Now, Timestamp},
    },
    ports::store::{Blob, Commit, Committed, StoreError, Token, Write},
    service::{Service, failure::Failure, limit::Occasion, record::vault::Unreadable},
};

/// How often a decision is taken again on fresh state, before the call gives up.
const CONFLICTS_MAX: usize = 4;

/// A record as loaded, and where and when.
pub(in crate::service) struct LoadedRecord {
    pub(in crate::service) record: Option<SubjectRecord>,
    key: SubjectKey,
    salt: Option<[u8; 16]>,
    token: Option<Token>,
    generation: Generation,
    store_now: Timestamp,
    forgot_at: Option<Timestamp>,
    /// By the service's clock.
    loaded_at: Timestamp,
}

/// What became of a decision.
enum Written {
    /// It is written.
    Done,
    /// Others were faster.
    Conflict,
    /// The commit failed with this error, and is not there.
    Lost(StoreError),
}

/// Who calls what: what the event of a refusal names.
#[derive(Clone, Copy)]
pub(in crate::service) struct Call<'a> {
    pub(in crate::service) name: &'static str,
    pub(in crate::service) caller: &'a Caller,
    pub(in crate::service) verification: Option<VerificationId>,
    /// For a call that sends: what its message counts against beside what the decision names.
    pub(in crate::service) occasion: Option<Occasion<'a>>,
}

impl Call<'_> {
    /// The event of its refusal; none if it failed by no decision.
    fn refusal(&self, failure: &Failure, now: Now) -> Option<Event> {
        let (reason, quota) = if let Failure::QuotaExceeded { quota, .. } = failure {
            (quota.reason(), Some(*quota))
        } else if let Failure::Refused(refusal) = failure {
            (refusal.reason(), None)
        } else if let Failure::Unfit { why, .. } = failure {
            (why.reason(), None)
        } else {
            return None;
        };
        Some(self.event(
            What::Refused {
                call: self.name,
                reason,
                quota,
            },
            now,
        ))
    }

    /// An event of the call.
    fn event(&self, what: What, now: Now) -> Event {
        let contact = match self.occasion {
            Some(Occasion::Start { contact, .. }) => contact,
            Some(Occasion::Resend | Occasion::Plan) | None => None,
        };
        Event {
            agent: contact.and_then(|contact| contact.agent.clone()),
            contact: contact.map(|contact| contact.id.clone()),
            ..refused(&self.caller.name, self.verification, what, now.stamp())
        }
    }
}

impl Service {
    /// All store work of a command has one deadline; past it the answer is that the store is unavailable.
    pub(in crate::service) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let late = |_| {
            Failure::Store(StoreError::Unavailable(
                "no answer within the deadline".to_owned(),
            ))
        };
        tokio::time::timeout(self.parts.store_deadline, work)
            .await
            .map_err(late)?
    }

    /// Reads a record; takes note of one that cannot be opened.
    pub(in crate::service) async fn load(&self, key: &SubjectKey) -> Result<LoadedRecord, Failure> {
        let loaded = self.read(key).await;
        if let Err(Failure::RecordUnreadable(why)) = &loaded {
            let now = self.parts.clock.now();
            self.quarantine.note((*key).into(), why, now);
        }
        loaded
    }

    /// Reads a record.
    pub(in crate::service) async fn read(&self, key: &SubjectKey) -> Result<LoadedRecord, Failure> {
        let loaded = self.parts.store.load(&(*key).into()).await?;
        let open = |blob: &Blob| {
            self.vault
                .open(key, blob)
                .map_err(|cause| Failure::RecordUnreadable(Unreadable::new(blob, cause)))
        };
        let record = loaded.blob.as_ref().map(open).transpose()?;
        let token = loaded.blob.map(|blob| blob.token);
        let salt = record.as_ref().map(|record| record.event_salt);
        Ok(LoadedRecord {
            record,
            key: *key,
            salt,
            token,
            generation: loaded.generation,
            store_now: loaded.now,
            forgot_at: loaded.forgot_at,
            loaded_at: self.parts.clock.now(),
        })
    }

    /// The store's clock goes on since the load.
    pub(in crate::service) fn context(&self, loaded: &LoadedRecord) -> Context<'_> {
        let now = self.parts.clock.now();
        Context {
            now: Now::new(now, loaded.store_now.plus(now.since(loaded.loaded_at))),
            generation: loaded.generation,
            forgot_at: loaded.forgot_at,
            keyring: &self.parts.keyring,
            rules: &self.parts.policy.subject,
            refused: None,
            tests: &self.parts.policy.test_recipients,
        }
    }

    /// Decides on fresh state and commits, again and again while others are faster, a bounded number of times. A message
    /// that the decision would send is drawn from the quotas before, once for all repetitions.
    pub(in crate::service) async fn transact<T>(
        &self,
        key: &SubjectKey,
        call: Option<Call<'_>>,
        decide: impl Fn(Option<SubjectRecord>, &Context<'_>) -> Decision<T>,
    ) -> Result<(T, Now), Failure> {
        self.transact_on(key, None, call, decide).await
    }

    /// The same, first on a state that was loaded before: it is fresh if the commit says so.
    pub(in crate::service) async fn transact_on<T>(
        &self,
        key: &SubjectKey,
        mut before: Option<LoadedRecord>,
        call: Option<Call<'_>>,
        decide: impl Fn(Option<SubjectRecord>, &Context<'_>) -> Decision<T>,
    ) -> Result<(T, Now), Failure> {
        self.bounded(async {
            let (mut drawn, mut refused, mut suspect) = (None, None, Vec::new());
            let mut was_lost = false;
            for _ in 0..=CONFLICTS_MAX {
                let mut loaded = match before.take() {
                    Some(before) => before,
                    None => self.load(key).await?,
                };
                let cx = Context {
                    refused: refused.as_ref(),
                    ..self.context(&loaded)
                };
                let now = cx.now;
                let Decision {
                    next,
                    mut events,
                    outgoing,
                    reply,
                } = decide(loaded.record.take(), &cx);
                let quota = self.draw_for(call, drawn.as_ref(), outgoing.as_ref()).await;
                if let (None, Some(message), Some(reason)) = (call, &outgoing, refused_as(&quota)) {
                    // Nobody asked for this message: it is passed over, and the rest goes on.
                    refused = Some(RefusedMessage {
                        message: message.clone(),
                        reason,
                    });
                    continue;
                }
                if let Ok(passed_over) = &quota {
                    suspect.extend_from_slice(passed_over);
                    events.extend(
                        suspect
                            .iter()
                            .map(|quota| would_refuse(call, outgoing.as_ref(), *quota, now)),
                    );
                    match self.write(&loaded, next, &events, now).await? {
                        Written::Done => {}
                        Written::Conflict => {
                            drawn = outgoing.or(drawn);
                            continue;
                        }
                        // A store that loses one commit after the other is no better than one that is down.
                        Written::Lost(error) if was_lost => return Err(error.into()),
                        Written::Lost(_) => {
                            was_lost = true;
                            drawn = outgoing.or(drawn);
                            continue;
                        }
                    }
                }
                let reply = quota.and_then(|_| reply.map_err(Failure::from));
                if let (
                    Ok(_),
                    Some(Outgoing {
                        new_subject: true, ..
                    }),
                    Some(call),
                ) = (&reply, &outgoing, call)
                {
                    let caller = call.caller.name.as_str().to_owned();
                    metrics::counter!("countersign_new_subjects_total", "caller" => caller)
                        .increment(1);
                }
                // Every refusal is an event too.
                let refusal = reply
                    .as_ref()
                    .err()
                    .zip(call)
                    .and_then(|(failure, call)| call.refusal(failure, now));
                if let Some(event) = refusal {
                    self.note(key, loaded.salt, &event).await;
                }
                return Ok((reply?, now));
            }
            Err(Failure::Contention)
        })
        .await
    }

    /// Draws a message from the quotas, unless it was drawn for the same recipient before, when the decision was taken the
    /// first time. What a plan sends counts as its caller's, though nobody calls.
    async fn draw_for(
        &self,
        call: Option<Call<'_>>,
        drawn: Option<&Outgoing>,
        message: Option<&Outgoing>,
    ) -> Result<Vec<Dimension>, Failure> {
        let Some(message) = message
            .filter(|message| drawn.is_none_or(|drawn| drawn.recipient != message.recipient))
        else {
            return Ok(Vec::new());
        };
        match call {
            Some(Call {
                caller,
                occasion: Some(occasion),
                ..
            }) => self.draw(caller, occasion, message).await,
            Some(Call { occasion: None, .. }) => Ok(Vec::new()),
            None => {
                let (name, tenant) = (message.caller.clone(), message.tenant.clone());
                self.draw(
                    &Caller {
                        name,
                        tenant,
                        roles: Roles::default(),
                    },
                    Occasion::Plan,
                    message,
                )
                .await
            }
        }
    }

    /// Writes what was decided.
    async fn write(
        &self,
        loaded: &LoadedRecord,
        next: Next,
        events: &[Event],
        now: Now,
    ) -> Result<Written, Failure> {
        let key = &loaded.key;
        let (write, salt, durability) = match next {
            Next::Settled => {
                self.parts.store.settle(&(*key).into()).await?;
                return Ok(Written::Done);
            }
            Next::Same => {
                for event in events {
                    self.note(key, loaded.salt, event).await;
                }
                return Ok(Written::Done);
            }
            Next::Write(record, durability) => {
                let record = record.stamped(events, now.stamp());
                let rules = &self.parts.policy.subject;
                let (wake_at, keep_until) = (record.wake_at(now, rules), record.keep_until(rules));
                let blob = self.vault.close(key, &record);
                (
                    Write::Put {
                        blob,
                        wake_at,
                        keep_until,
                    },
                    Some(record.event_salt),
                    durability,
                )
            }
            Next::Delete => (Write::Delete, loaded.salt, Durability::Plain),
        };
        let mine = match &write {
            Write::Put { blob, .. } => Some(blob.token),
            Write::Delete => None,
        };
        let events = events
            .iter()
            .map(|event| self.vault.close_event(key, salt.as_ref(), event))
            .collect();
        let commit = Commit {
            key: (*key).into(),
            expect: loaded.token,
            generation: loaded.generation,
            write,
            events,
            durability,
        };
        match self.parts.store.commit(commit).await {
            Ok(Committed::Done) => Ok(Written::Done),
            Ok(Committed::Conflict) => Ok(Written::Conflict),
            // It is known what happened, and that nobody may hear of it.
            Err(error @ (StoreError::NotReplicated | StoreError::Full | StoreError::Foreign)) => {
                Err(error.into())
            }
            Err(error @ StoreError::Unavailable(_)) => match self.find_out(key, mine).await {
                Ok(true) => Ok(Written::Done),
                Ok(false) => Ok(Written::Lost(error)),
                Err(_) => Err(error.into()),
            },
        }
    }

    /// After an unknown outcome: what is stored tells. Mine is there, so it was committed; else the decision is taken
    /// again, as after a conflict. Should the lost commit still arrive, it is the one that finds another record.
    async fn find_out(&self, key: &SubjectKey, mine: Option<Token>) -> Result<bool, StoreError> {
        Ok(self
            .parts
            .store
            .load(&(*key).into())
            .await?
            .blob
            .map(|blob| blob.token)
            == mine)
    }

    /// Writes down that a call was refused before anything was loaded.
    pub(in crate::service) async fn note_refusal(
        &self,
        key: &SubjectKey,
        call: Call<'_>,
        failure: &Failure,
    ) {
        let now = self.parts.clock.now();
        if let Some(event) = call.refusal(failure, Now::new(now, now)) {
            self.note(key, None, &event).await;
        }
    }

    /// Writes down an event that comes with no change. It is not worth failing a call for.
    pub(in crate::service) async fn note(
        &self,
        key: &SubjectKey,
        salt: Option<[u8; 16]>,
        event: &Event,
    ) {
        let sealed = self.vault.close_event(key, salt.as_ref(), event);
        if let Err(error) = self.parts.store.append(&(*key).into(), sealed).await {
            metrics::counter!("countersign_events_lost_total").increment(1);
            tracing::warn!(%error, "An event was not written.");
        }
    }
}

/// The guard only records; this is what it records.
fn would_refuse(
    call: Option<Call<'_>>,
    message: Option<&Outgoing>,
    quota: Dimension,
    now: Now,
) -> Event {
    let (what, action) = (
        What::WouldRefuse { quota },
        message.map(|message| message.action.clone()),
    );
    match call {
        Some(call) => Event {
            action,
            ..call.event(what, now)
        },
        None => Event {
            at: now.stamp(),
            caller: None,
            agent: None,
            contact: None,
            verification: None,
            action,
            what,
        },
    }
}

/// Why a message may not be sent, if the quotas say so, as a word for machines.
fn refused_as<T>(quota: &Result<T, Failure>) -> Option<&'static str> {
    match quota {
        Err(Failure::QuotaExceeded { quota, .. }) if quota.is_guard() => Some("guard_refused"),
        Err(Failure::QuotaExceeded { .. }) => Some("quota_exceeded"),
        Ok(_) | Err(_) => None,
    }
}
