"""An agent whom the dialer keeps from the line is rung for the callback for which he is kept, and for nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ami_bridge import secrets
from ami_bridge.adapters.ami import AmiLink
from ami_bridge.core.events import READ_EVENTS
from ami_bridge.demo.softphone import PhoneState
from ami_bridge.demo.stage import Stage
from ami_bridge.dialer.agents import HOLD_REASON

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def dialer_link(stage: Stage) -> AsyncIterator[AmiLink]:
    """The dialer's own account."""
    network = stage.settings.network
    link = AmiLink(stage.settings.node.name, wanted=READ_EVENTS)
    secret = secrets.read_secret(stage.settings, secrets.AMI_DIALER)
    await link.connect(
        str(network.address), network.ami_port, "fourthring-dialer", secret, timeout_seconds=10
    )
    yield link
    await link.close()


async def test_an_agent_who_is_kept_is_rung_by_the_dialer(phones: Stage, dialer_link: AmiLink) -> None:
    """Keeping him is a pause of his in the queue, and who paused himself is left alone by everybody else."""
    agent, caller = await phones.agent("103"), await phones.caller("79165550861")
    member = "Local/103@queue-member/n"
    await dialer_link.queue_pause(member, True, reason=HOLD_REASON)
    # At once: with nobody waiting the dialer lets go of him at its next look.
    await dialer_link.originate(
        channel="Local/103@callback-agent/n",
        context="callback-briefing",
        exten="support",
        channel_id="kept-agent-1",
        other_channel_id="kept-agent-1-2",
        timeout_seconds=20,
        variables={},
    )
    await agent.wait_for(PhoneState.INCOMING, 3)
    await agent.hangup()
    await agent.wait_for(PhoneState.CLOSED, 5)
    try:
        await dialer_link.queue_pause(member, True, reason="lunch")
        await caller.dial("74950000004")
        await asyncio.sleep(3)
        assert agent.calls == 1, "the phone of who paused rang"
    finally:
        await dialer_link.queue_pause(member, False)
