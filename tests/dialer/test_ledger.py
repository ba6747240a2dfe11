"""The ledger at work: whoever must hear of a promise hears of it, once, before it breaks."""

from __future__ import annotations

import asyncio
import email
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ami_bridge.cli import ledger as shown
from ami_bridge.core.promises import Happening, PromiseState
from ami_bridge.dialer.ledger import Ledger
from ami_bridge.dialer.messengers import MailMessenger, WebhookMessenger, messengers_of


class Told:
    """A messenger that remembers, and fails as long as ``away``."""

    def __init__(self) -> None:
        self.messages: list[Mapping[str, Any]] = []
        self.away = False

    async def tell(self, message: Mapping[str, Any]) -> None:
        if self.away:
            raise OSError("nobody takes it")
        self.messages.append(message)


def keeping(reception: Any, *messengers: Any) -> Ledger:
    return Ledger(reception.settings, reception.store, reception.clock, messengers)


async def looked(ledger: Ledger) -> list[Happening]:
    happened = [happening for _, happening in await ledger.look()]
    await asyncio.sleep(0)
    await asyncio.gather(*ledger._telling)
    return happened


async def test_made_warned_of_once_and_broken(reception: Any) -> None:
    callback, told = await reception.ask(), Told()
    ledger = keeping(reception, told)
    assert await looked(ledger) == [Happening.MADE]
    assert await looked(ledger) == []
    await reception.tick(44 * 60, complete=False)
    assert await looked(ledger) == []
    await reception.tick(60, complete=False)
    assert await looked(ledger) == [Happening.ESCALATED]
    assert await looked(keeping(reception, told)) == [], "another dialer finds it done"
    await reception.tick(15 * 60 + 1, complete=False)
    assert await looked(ledger) == [Happening.BROKEN]
    assert [message["event"] for message in told.messages] == ["promise.escalated", "promise.broken"]
    assert (told.messages[0]["callback"], told.messages[0]["seconds_left"]) == (callback.id, 900)
    assert "916" not in json.dumps(told.messages), "a customer's number goes into no mail"


async def test_kept_by_ringing_in_time(reception: Any) -> None:
    await reception.ask()
    ledger = keeping(reception)
    await looked(ledger)
    await reception.tick(60)
    await reception.tell("ended", reception.channel_id(), "BUSY")
    assert await looked(ledger) == [Happening.KEPT]


async def test_asked_for_another_time_is_the_same_promise_moved(reception: Any) -> None:
    callback = await reception.ask()
    ledger = keeping(reception)
    await looked(ledger)
    await reception.tick(60)
    await reception.tell("customer_answered", reception.channel_id())
    await reception.tell("ended", reception.channel_id(), "LATER3")
    now = await reception.now_is(callback)
    assert now.due_at == reception.clock.now() + timedelta(hours=3)
    assert await looked(ledger) == []
    promise = await reception.store.promise(callback.id)
    assert (promise.state, promise.moved, promise.due_at) == (
        PromiseState.OPEN,
        1,
        now.due_at + timedelta(hours=1),
    )
    reception.clock.advance(timedelta(hours=3))
    await reception.tick(1)
    await reception.tell("customer_answered", reception.channel_id())
    await reception.tell("ended", reception.channel_id(), "ANSWER")
    assert await looked(ledger) == [Happening.KEPT]
    assert (await reception.now_is(callback)).state == "done"


@pytest.mark.parametrize("outcome", ["REFUSED_BY_CUSTOMER", "WRONG_NUMBER"])
async def test_never_again_means_the_number_from_now_on(reception: Any, outcome: str) -> None:
    callback = await reception.ask()
    ledger = keeping(reception)
    await looked(ledger)
    await reception.tick(1)
    await reception.tell("customer_answered", reception.channel_id())
    await reception.tell("ended", reception.channel_id(), outcome)
    (entry,) = await reception.store.do_not_call()
    assert (entry.number, entry.by) == (callback.number, "customer")
    assert (await reception.now_is(callback)).state == "cancelled"
    assert await looked(ledger) == [Happening.KEPT], "we rang as we had said"


async def test_a_messenger_that_is_away_holds_nothing_up(
    reception: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await reception.ask()
    told = Told()
    told.away = True
    ledger = keeping(reception, told)
    await looked(ledger)
    await reception.tick(50 * 60, complete=False)
    assert await looked(ledger) == [Happening.ESCALATED]
    assert "was not delivered: nobody takes it" in caplog.text
    assert "escalated" in caplog.text


async def test_a_promise_waits_for_opening_hours(tmp_path: Path, new_reception: Any) -> None:
    reception = new_reception(tmp_path, hours={"open": ["mon-fri 09:00-18:00"]})  # Moscow; it is noon there
    reception.clock.advance(reception.clock.now().replace(hour=14, minute=30) - reception.clock.now())
    await reception.ask()
    await looked(keeping(reception))
    (promise,) = await reception.store.promises()
    assert promise.due_at.isoformat() == "2026-11-24T06:30:00+00:00", "half an hour today, half tomorrow"


async def test_the_webhook_is_tried_again_and_gives_up_in_words() -> None:
    seen: list[Any] = []
    answers = [500, 204]

    async def take(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.Response(status=answers.pop(0) if answers else 503)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    messenger = WebhookMessenger(f"http://127.0.0.1:{port}/hook", first_pause_seconds=0.01)
    try:
        await messenger.tell({"event": "promise.broken"})
        assert seen == [{"event": "promise.broken"}] * 2
        with pytest.raises(OSError, match="answered 503"):
            await messenger.tell({"event": "promise.broken"})
        assert len(seen) == 5
    finally:
        await runner.cleanup()
    with pytest.raises(OSError, match=re.escape("promises.webhook")):
        await messenger.tell({"event": "promise.broken"})


async def test_a_mail_is_sent_over_smtp() -> None:
    """A real conversation on a socket: greeting, envelope, message."""
    mails: list[tuple[list[str], str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        envelope: list[str] = []
        while line := (await reader.readline()).decode().strip().upper():
            if line == "DATA":
                writer.write(b"354 go on\r\n")
                text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                mails.append((envelope, text))
            elif line.startswith(("MAIL", "RCPT")):
                envelope.append(line.split()[1])
            writer.write(b"221 bye\r\n" if line == "QUIT" else b"250 yes\r\n")
            if line == "QUIT":
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    message = {"event": "promise.escalated", "department": "sales", "due_at": "12:00", "callback": "cb1"}
    async with server:
        await MailMessenger("127.0.0.1", port, "us@here.test", ["desk@here.test"]).tell(message)
    ((envelope, text),) = mails
    assert envelope == ["FROM:<US@HERE.TEST>", "TO:<DESK@HERE.TEST>"]
    assert "promise.escalated: sales" in str(email.message_from_string(text)["Subject"])
    assert "callback: cb1" in text


def test_only_what_is_configured_tells(tmp_path: Path, new_reception: Any) -> None:
    assert messengers_of(new_reception(tmp_path).settings) == []
    told = {"webhook": "https://hook.test/x", "mail_to": ["a@b.test"], "mail_from": "us@b.test"}
    both = messengers_of(new_reception(tmp_path, promises=told).settings)
    assert [type(each) for each in both] == [WebhookMessenger, MailMessenger]


async def test_the_table_counts_down_and_keeps_the_score(reception: Any) -> None:
    for digits in ("001", "002"):
        await reception.ask(digits)
    ledger = keeping(reception)
    await looked(ledger)
    (first, _) = await reception.store.promises()
    await reception.tick(60)
    await reception.tell("ended", reception.channel_id(0), "BUSY")
    await looked(ledger)
    lines = await shown.lines_of(reception.store, None, None, 10, only_open=False)
    assert shown.title_of(lines) == "Promises: kept 1 of 1 (100%)"
    assert {line["state"] for line in lines} == {"kept", "open"}
    (line,) = await shown.lines_of(reception.store, None, None, 10, only_open=True)
    assert line["number"].startswith("+7916")
    assert len(next(iter(shown.rows_of([line])))) == len(shown.COLUMNS)
    assert first.state is PromiseState.OPEN


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0:00:00"), (3905, "1:05:05"), (-61, "-0:01:01"), (360000, "100:00:00")],
)
def test_the_countdown(seconds: int | None, text: str) -> None:
    assert shown.countdown(seconds) == text
