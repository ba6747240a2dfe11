"""What the rest of the system may ask of a store, and what it gets back.

``SqlStore`` (SQLite, PostgreSQL) and ``MemoryStore`` both keep this contract; one suite of tests runs on
both. Every write is idempotent on its own key, so that a replay of the journal never doubles anything.
Instants go in and come out with a zone (out: UTC). ``at`` and ``now`` default to the present.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol, Unpack

from ami_bridge.adapters.store.entries import (
    AgentEntry,
    AnsweredRequest,
    AuditEntry,
    Change,
    Conversation,
    DeliveryEntry,
    DeliveryState,
    DepartmentEntry,
    DoNotCall,
    Heartbeat,
    HistoryEntry,
    Note,
    PromptEntry,
    SessionEntry,
    StoredCall,
    TokenEntry,
    UserEntry,
    UserFields,
    WebhookEntry,
)
from ami_bridge.adapters.store.mark_port import MarkStore
from ami_bridge.adapters.store.outgoing_port import OutgoingStore
from ami_bridge.adapters.store.sight import Place, Sight
from ami_bridge.core.callbacks import (
    Attempt,
    AttemptState,
    Callback,
    CallbackEvent,
    CallbackFields,
    CallbackState,
    Consent,
    RetryPolicy,
)
from ami_bridge.core.promises import Promise, PromiseState, Standing


class CallStore(Protocol):
    """Calls, their legs and their notes."""

    async def save_call(self, record: Mapping[str, Any]) -> None:
        """Insert or replace the call ``record["call_id"]``; a finished call is never reopened by a late copy.

        ``record`` is ``CallRecord.as_json()``; only ``call_id`` is required. Calls in ``absorbed_call_ids``
        turned out to be part of this one: they keep their notes, but are no longer listed.
        """

    async def save_calls(self, records: Sequence[Mapping[str, Any]]) -> None:
        """:meth:`save_call` for many, an order of magnitude cheaper; of two with one id the later counts."""

    async def calls(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        department: str | None = None,
        caller_number: str | None = None,
        extension: str | None = None,
        ring_verdict: str | None = None,
        disposition: str | None = None,
        sight: Sight | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> list[StoredCall]:
        """Calls that started in ``[since, until)``, newest first, only those that ``sight`` covers.

        ``extension``: those in which this phone rang or talked. ``before``: those after that place in the list.
        """

    async def live_calls(self, since: datetime) -> list[StoredCall]:
        """Calls that started at ``since`` or later and go on, as far as the store has been told; in no order."""

    async def call(self, call_id: str) -> StoredCall | None:
        """The call with our own id ``call_id``."""

    async def find_call_by_uniqueid(self, uniqueid: str) -> StoredCall | None:
        """The newest call that one of whose legs had Asterisk's ``uniqueid``."""

    async def add_note(
        self, call_id: str, author: str, fields: Mapping[str, str], *, key: str, at: datetime | None = None
    ) -> Note:
        """Add the next version of the call's note; the same ``key`` again returns what was stored first.

        Raises NotStored for an unknown call.
        """

    async def notes(self, call_id: str) -> list[Note]:
        """All versions, oldest first."""


class CallbackStore(Protocol):
    """Callbacks and attempts. Every method may raise IllegalTransition (see core.callbacks) and NotStored."""

    async def create_callback(
        self,
        key: str,
        department: str,
        *,
        event: CallbackEvent | None = None,
        channel_uniqueid: str | None = None,
        at: datetime | None = None,
        **fields: Unpack[CallbackFields],
    ) -> Callback:
        """Start one as ``capturing`` and apply ``event`` at once; an existing ``key`` comes back as it is."""

    async def update_callback(
        self,
        callback_id: str,
        *,
        event: CallbackEvent | None = None,
        by: str = "",
        reason: str = "",
        department: str | None = None,
        at: datetime | None = None,
        **fields: Unpack[CallbackFields],
    ) -> Callback:
        """Amend ``fields`` and then apply ``event``, both or neither; ``department`` gives it to another one."""

    async def settle_capture(
        self,
        callback_id: str,
        *,
        event: CallbackEvent,
        by: str = "",
        reason: str = "",
        at: datetime | None = None,
        **fields: Unpack[CallbackFields],
    ) -> Callback:
        """Amend ``fields``, apply ``event`` (captured, broken_off) and return the callback that goes on.

        That is another one when the same person (number, or channel while no number is known) has an open
        callback already; this one is then ``merged`` into it, see core.merging. One that was merged or closed
        before is left as it is.
        """

    async def finish_capture(self, channel_uniqueid: str, *, at: datetime | None = None) -> Callback | None:
        """The caller's channel is gone: a capture left half-way becomes ``partial``, or part of the open
        callback of the same person. None: there was no callback."""

    async def merge_callbacks(
        self, goes_on: str, further: str, *, by: str, at: datetime | None = None
    ) -> Callback:
        """Make ``further`` part of ``goes_on``, on the word of a person who knows that they are one request."""

    async def reached(
        self, number: str, *, key: str, at: datetime | None = None, detail: Mapping[str, Any] | None = None
    ) -> list[Callback]:
        """They talked in another call at the instant ``at``: callbacks of ``number`` that were made before are
        done. ``key`` names that call, ``detail`` is kept in the history. Returns what was closed."""

    async def callbacks_of_number(self, number: str, *, since: datetime | None = None) -> list[Callback]:
        """Every callback of ``number`` (E.164), merged ones too, oldest first."""

    async def add_history(self, entry: HistoryEntry) -> None:
        """Add to a callback's history, once per ``entry.key``."""

    async def callback_history(self, callback_id: str) -> list[HistoryEntry]:
        """What happened to it besides its own states, oldest first."""

    async def forbid_calling(self, entry: DoNotCall) -> list[Callback]:
        """Put a number on the do-not-call list and cancel what waits for it; returns what was cancelled."""

    async def allow_calling(self, number: str) -> bool:
        """Take a number off the list; False when it was not on it."""

    async def do_not_call(self, numbers: Collection[str] | None = None) -> list[DoNotCall]:
        """The list, or those of ``numbers`` that are on it."""

    async def callback(self, callback_id: str) -> Callback | None:
        """One callback."""

    async def callback_of_channel(self, channel_uniqueid: str) -> Callback | None:
        """The callback that was captured on this channel."""

    async def callbacks(
        self,
        *,
        states: Collection[CallbackState] | None = None,
        department: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        sight: Sight | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> list[Callback]:
        """Callbacks that were created in ``[since, until)``, newest first, only those that ``sight`` covers."""

    async def count_callbacks(self) -> dict[CallbackState, int]:
        """How many callbacks stand in each state."""

    async def consents(self, callback_id: str) -> list[Consent]:
        """Every consent that was given for it, oldest first: the evidence (S9)."""

    async def claim_due(
        self,
        now: datetime,
        worker: str,
        lease_seconds: float,
        limit: int = 1,
        *,
        departments: Collection[str] | None = None,
        only: Collection[str] | None = None,
    ) -> list[Callback]:
        """Take up to ``limit`` due callbacks for ``worker``, longest due first, after :meth:`expire_overdue`.

        Only callbacks with number and consent; never two of one number; none whose number is being dialled
        or was lost from sight within the last hour; of ``departments`` alone when given, so that those for
        whom nobody is free do not stand before the others; of the ids in ``only`` when given. What another
        worker is claiming in the same instant is passed over, so fewer than are due may come back: ask again.
        """

    async def claim_callback(
        self, callback_id: str, worker: str, lease_seconds: float, *, at: datetime | None = None
    ) -> Callback:
        """Take this one, due or not, for a person at the desk; the holder's own claim is prolonged."""

    async def due_callbacks(
        self, now: datetime, *, departments: Collection[str] | None = None, limit: int = 200
    ) -> list[Callback]:
        """What :meth:`claim_due` would offer, claiming nothing; who has kept a place longest comes first."""

    async def renew_lease(
        self, callback_id: str, fence: int, lease_seconds: float, *, now: datetime | None = None
    ) -> Callback:
        """Hold on to a claimed, dialling or talking callback.

        A worker that is late, but whose attempt goes on, regains it from ``unknown`` by renewing. Raises
        StaleFence when the callback has gone on without this worker.
        """

    async def release_claim(
        self, callback_id: str, fence: int, *, due_at: datetime | None = None, at: datetime | None = None
    ) -> Callback:
        """Give a claim back before anything was dialled. Raises StaleFence."""

    async def begin_attempt(
        self, callback_id: str, fence: int, channel_id: str, *, agent: str, at: datetime | None = None
    ) -> Attempt:
        """Store ``dialing``. It is committed when this returns: only then may the Originate be sent.

        The same ``channel_id`` again returns the same attempt. Raises StaleFence, and AgentTaken when
        ``agent`` (not "") has an open attempt already.
        """

    async def connect_attempt(self, attempt_id: str, *, at: datetime | None = None) -> Callback:
        """Agent and customer are talking. Raises StaleFence."""

    async def finish_attempt(
        self,
        attempt_id: str,
        result: AttemptState,
        *,
        policy: RetryPolicy,
        detail: str = "",
        at: datetime | None = None,
    ) -> Callback:
        """Store the result and what follows from it; the same again changes nothing. Raises StaleFence."""

    async def attempts(self, callback_id: str) -> list[Attempt]:
        """All attempts, oldest first."""

    async def open_attempts(self) -> list[tuple[Callback, Attempt]]:
        """What is being dialled or talked about, or was lost from sight: each with its present attempt."""

    async def expire_overdue(self, now: datetime) -> list[Callback]:
        """Do what time demands and return what changed.

        A claim without a dial goes back to the queue; a lease that ran out while dialling or talking makes
        callback and attempt ``unknown``; past ``expires_at`` is ``expired``; a capture nobody has touched for
        an hour is ``partial``.
        """


class PromiseStore(Protocol):
    """The promise ledger; see core.promises."""

    async def promises(
        self,
        *,
        state: PromiseState | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> list[Promise]:
        """Promises that are due in ``[since, until)``, soonest first."""

    async def promise(self, callback_id: str) -> Promise | None:
        """The promise of one callback."""

    async def standings(self, limit: int = 1000) -> list[Standing]:
        """Every callback whose promise is open, and those that wait and have none yet; soonest due first."""

    async def write_promise(self, promise: Promise, *, at: datetime | None = None) -> bool:
        """Insert (``revision`` 0) or replace the revision before; False: somebody else was quicker.

        So of several who look at the ledger in the same instant one alone sends the warning.
        """


class DeskStore(Protocol):
    """Conversations, people, prompts, the change feed, heartbeats and the audit trail."""

    async def put_conversation(
        self, key: str, state: Mapping[str, Any], *, at: datetime | None = None
    ) -> None:
        """Keep an AGI conversation's ``state`` under the channel uniqueid ``key``."""

    async def get_conversation(self, key: str) -> Conversation | None:
        """The conversation of a channel."""

    async def drop_conversations(self, before: datetime) -> int:
        """Forget conversations untouched since ``before``; returns how many."""

    async def save_directory(
        self, departments: Sequence[DepartmentEntry], agents: Sequence[AgentEntry]
    ) -> None:
        """Make the stored directory equal to the configuration; people who left stay, marked inactive."""

    async def agents(self) -> list[AgentEntry]:
        """Every agent, by extension."""

    async def departments(self) -> list[DepartmentEntry]:
        """Every department, by slug."""

    async def save_prompt(self, prompt: PromptEntry) -> None:
        """Keep the words of a prompt version, so that a consent names what was heard. Never overwritten."""

    async def prompt(self, version: str) -> PromptEntry | None:
        """One prompt version."""

    async def beat(
        self, service: str, node: str, detail: Mapping[str, Any], *, at: datetime | None = None
    ) -> None:
        """A service says that it lives."""

    async def heartbeats(self) -> list[Heartbeat]:
        """The last beat of each service on each node."""

    async def audit(self, entry: AuditEntry) -> None:
        """Add to the audit trail, once per ``entry.key``."""

    async def audits(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        subject: str | None = None,
        before: Place | None = None,
        limit: int = 100,
    ) -> list[AuditEntry]:
        """The audit trail, newest first. ``before`` is an entry's instant and key."""

    async def begin_request(
        self, key: str, fingerprint: str, at: datetime, *, given_up: datetime
    ) -> AnsweredRequest | None:
        """None: nobody has sent this ``key``, go on; else what is known of the one that did.

        One that was begun before ``given_up`` and never answered counts as not sent. Entries are kept a day.
        """

    async def answer_request(self, key: str, status: int, body: str) -> None:
        """Keep the answer for whoever sends ``key`` again."""

    async def forget_request(self, key: str) -> None:
        """It failed: whoever sends ``key`` again tries again."""

    async def changes(self, after: int, limit: int = 500) -> list[Change]:
        """Changes with a sequence number above ``after``, in order. A change seen once never appears later
        with a lower number. Old ones are pruned (:data:`KEPT_CHANGES`)."""

    async def last_change(self) -> int:
        """The newest sequence number, 0 when nothing has ever happened."""


class AccountStore(Protocol):
    """Users of the desk, their sessions and tokens."""

    async def add_user(self, user: UserEntry) -> bool:
        """Insert; False when the name is taken, and then nothing is changed."""

    async def amend_user(self, name: str, **fields: Unpack[UserFields]) -> UserEntry:
        """Change these fields and no other. Raises NotStored."""

    async def user(self, name: str) -> UserEntry | None:
        """One user, active or not."""

    async def users(self) -> list[UserEntry]:
        """Every user, by name."""

    async def take_totp_step(self, name: str, step: int) -> bool:
        """Use up a time step of the user's second factor; False when it, or a later one, was used before."""

    async def save_token(self, token: TokenEntry) -> None:
        """Insert or replace."""

    async def tokens(self, user: str | None = None) -> list[TokenEntry]:
        """Tokens of ``user`` or of all, newest first, the ended ones too."""

    async def user_of_token(self, token_hash: str, now: datetime) -> tuple[UserEntry, TokenEntry] | None:
        """The active user behind a token that is neither revoked nor expired at ``now``."""

    async def open_session(self, session: SessionEntry) -> None:
        """Keep a login; sessions that are over by then are forgotten."""

    async def user_of_session(self, cookie_hash: str, now: datetime) -> tuple[UserEntry, SessionEntry] | None:
        """The active user behind a session that is not over at ``now``."""

    async def sessions(self, user: str, now: datetime) -> list[SessionEntry]:
        """The user's sessions that are not over, newest first."""

    async def end_sessions(self, user: str, *, only: str | None = None, but: str | None = None) -> int:
        """End the session with the id ``only``, or all but ``but``; returns how many."""


class HookStore(Protocol):
    """Webhooks and their outbox: the change feed, filed once for each webhook, then sent until it arrives."""

    async def save_webhook(self, webhook: WebhookEntry) -> None:
        """Insert or replace, but for how far its changes have been filed. A new one starts at the present."""

    async def webhooks(self) -> list[WebhookEntry]:
        """All, oldest first."""

    async def drop_webhook(self, webhook_id: str) -> bool:
        """Forget it and its outbox; False when there was none."""

    async def file_deliveries(self, now: datetime) -> int:
        """File what has changed since the last time, for every active webhook; returns how much."""

    async def take_deliveries(self, now: datetime, hold: timedelta, limit: int) -> list[DeliveryEntry]:
        """Due deliveries of active webhooks, longest due first. Nobody else gets them before ``hold`` is over."""

    async def save_delivery(self, delivery: DeliveryEntry) -> None:
        """Keep how it went, unless its webhook is gone."""

    async def deliveries(
        self, webhook_id: str, *, states: Collection[DeliveryState] | None = None, limit: int = 100
    ) -> list[DeliveryEntry]:
        """The outbox of one webhook, newest first."""

    async def drop_deliveries(self, before: datetime) -> int:
        """Forget those that arrived or were given up before then; returns how many."""


class Store(
    CallStore,
    CallbackStore,
    PromiseStore,
    OutgoingStore,
    MarkStore,
    DeskStore,
    AccountStore,
    HookStore,
    Protocol,
):
    """The whole port."""

    async def open(self) -> None:
        """Connect and bring the schema up to date; safe when several processes do so at once."""

    async def close(self) -> None:
        """Release every connection. Harmless when called twice."""

    def looking(self) -> AbstractAsyncContextManager[None]:
        """What this task reads inside is read at one go: quicker, and of one instant. It may write nothing."""

    def together(self) -> AbstractAsyncContextManager[None]:
        """What this task writes inside is kept altogether or, after any exception, not at all.

        Nobody else can write meanwhile: wait for nothing else inside. A fault of the store must leave the block.
        """

    async def ping(self) -> None:
        """Return when the store answers. Raises StoreUnavailable."""


#: How many entries of the change feed are kept for readers that fell behind.
KEPT_CHANGES = 20_000
#: For so long an answer is kept for those who send the same Idempotency-Key again.
KEPT_REQUESTS = timedelta(days=1)
