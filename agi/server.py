"""The FastAGI server: each request is short, limited, and stands alone.

A connection is read on the event loop until its environment has been checked, so a stranger who only
connects, or trickles bytes, costs no thread. Then the step runs (store access on the same loop), and only
the answer is written by a thread, through :class:`agi.session.SafeAgi`. Anything that goes wrong closes the
connection without ``FR_STEP_OK``; the dialplan sees that and goes on alone.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from asterisk.agi import AGIException

from agi import environment
from agi.environment import AgiEnvironment, AgiProtocolError, parse_environment
from agi.request import Step, StepRefused, StepRequest, Variables
from agi.session import CallerGone, SafeAgi
from agi.steps import greeting, parting, turn, wait
from agi.variables import Variable
from agi.voice.cache import VoiceCache
from ami_bridge.adapters.clock import Clock, SystemClock
from ami_bridge.adapters.store.port import Store
from ami_bridge.core.callbacks import IllegalTransition
from ami_bridge.errors import FourthRingError
from ami_bridge.settings import Settings

_log = logging.getLogger(__name__)

_BACKLOG = 256
#: The script name in ``agi://HOST/<step>`` → the step.
STEPS: dict[str, Step] = {
    "greeting": greeting.run,
    "parting": parting.run,
    "turn": turn.run,
    "wait": wait.run,
}


class PortTaken(FourthRingError):
    """The FastAGI address cannot be listened on; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class AgiLimits:
    """How long and how much. The dialplan gives up after 2 s; what is not answered by then must not go on.

    ``step_seconds`` counts from the connection on: a step has all that the environment left, since a store that waits
    for its disk is worth waiting for as long as the caller waits anyway.
    """

    environment_seconds: float = 0.5
    step_seconds: float = 1.35
    answer_seconds: float = 0.5
    connections: int = 256
    threads: int = 16
    grace_seconds: float = 2.0


class AgiServer:
    """Serves AGI steps on ``settings.network``'s address. One per process.

    ``counters`` counts connections by outcome: served, refused, gone, failed, crowded, connected.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        voice: VoiceCache,
        token: str,
        *,
        limits: AgiLimits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._settings = settings
        self._store = store
        self._voice = voice
        self._token = token
        self._limits = limits or AgiLimits()
        self._clock = clock or SystemClock()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(self._limits.threads, thread_name_prefix="agi")

    @property
    def port(self) -> int:
        """The port that is listened on.

        Raises:
            RuntimeError: the server has not been started.
        """
        if self._listener is None:
            raise RuntimeError("The AGI server has not been started.")
        return int(self._listener.getsockname()[1])

    async def start(self) -> None:
        """Listen and serve.

        Raises:
            PortTaken: the address is in use or not ours.
        """
        network = self._settings.network
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(network.address), network.agi_port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise PortTaken(
                f"FastAGI cannot listen on {network.address}:{network.agi_port} ({error.strerror}); "
                "stop the program that uses it or change network.agi_port."
            ) from None
        listener.setblocking(False)
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener), name="agi-accept")

    async def stop(self) -> None:
        """Accept nothing more, let running requests end (at most ``grace_seconds``), release everything."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
            self._accepting = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._requests:
            _, late = await asyncio.wait(self._requests, timeout=self._limits.grace_seconds)
            for request in late:
                request.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                # A peer that was gone before it was accepted, or no file handles left for the moment.
                _log.warning("A connection could not be accepted: %s", error.strerror)
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    await asyncio.sleep(0.1)
                continue
            self.counters["connected"] += 1
            if len(self._requests) >= self._limits.connections:
                self.counters["crowded"] += 1
                connection.close()
                continue
            request = asyncio.create_task(self._serve(connection), name="agi-request")
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)

    async def _serve(self, connection: socket.socket) -> None:
        """One connection from beginning to end; whatever happens stays inside."""
        began = asyncio.get_running_loop().time()
        outcome, why, step = "failed", "", "?"
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked, early = await self._environment(connection)
            step = asked.step
            variables = await self._take(asked, began)
            await asyncio.get_running_loop().run_in_executor(
                self._threads, self._answer, connection, asked, early, variables
            )
            outcome = "served"
        except (AgiProtocolError, StepRefused, IllegalTransition) as error:
            outcome, why = "refused", str(error)
        except CallerGone as error:
            outcome, why = "gone", str(error)
        except TimeoutError:
            why = "it took too long"
        except (AGIException, FourthRingError, OSError) as error:
            why = str(error)
        except Exception:
            # One bad request must never stop the next: the reason goes to the log, the caller to the dialplan.
            _log.exception("The AGI step '%s' broke", step)
            why = "a fault of ours"
        finally:
            connection.close()
            self.counters[outcome] += 1
            self._report(outcome, step, why, asyncio.get_running_loop().time() - began)

    async def _environment(self, connection: socket.socket) -> tuple[AgiEnvironment, bytes]:
        """The checked environment and what came behind it (a HANGUP can)."""
        loop = asyncio.get_running_loop()
        raw = b""
        async with asyncio.timeout(self._limits.environment_seconds):
            while environment.END not in raw:
                if len(raw) > environment.MAX_BYTES:
                    raise AgiProtocolError("the environment is too long")
                chunk = await loop.sock_recv(connection, 4096)
                if not chunk:
                    raise CallerGone("closed before the environment was complete")
                raw += chunk
        head, end, early = raw.partition(environment.END)
        return parse_environment(head + end, self._token), early

    async def _take(self, asked: AgiEnvironment, began: float) -> Variables:
        step = STEPS.get(asked.step)
        if step is None:
            raise StepRefused("there is no such step")
        request = StepRequest(asked, self._settings, self._store, self._voice, self._clock.now())
        async with asyncio.timeout_at(began + self._limits.step_seconds):
            return await step(request)

    def _answer(
        self, connection: socket.socket, asked: AgiEnvironment, early: bytes, variables: Variables
    ) -> None:
        """Set the variables on the channel, FR_STEP_OK last of all. Runs in a thread."""
        session = SafeAgi(connection, asked, seconds=self._limits.answer_seconds, early=early)
        for variable, value in variables.items():
            session.set_variable(variable, value)
        session.set_variable(Variable.STEP_OK, "1")

    def _report(self, outcome: str, step: str, why: str, seconds: float) -> None:
        # Nothing that a peer sent and nothing about a caller is logged here.
        level = logging.DEBUG if outcome == "served" else logging.WARNING
        _log.log(level, "AGI step '%s' %s after %.0f ms%s", step, outcome, seconds * 1000, why and f": {why}")
