"""The sections ``[callback.retry]`` and ``[promises]`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ami_bridge.setting_types import Port, Section, form


def _growing(delays: list[float]) -> list[float]:
    if delays != sorted(delays):
        raise ValueError(f"the gaps {delays} shrink; write them from the shortest to the longest")
    return delays


#: By itself to whoever is free, or only when an agent has taken the callback in hand at the desk; ``customer_first``:
#: by itself, and the customer's phone rings before that of the agent, who is kept for him meanwhile.
CallbackMode = Literal["agent_first", "customer_first", "preview"]

Delays = Annotated[
    list[Annotated[float, Field(gt=0, le=10080)]], Field(min_length=1), AfterValidator(_growing)
]


class RetrySettings(Section):
    """Minutes to the next try after each cause, growing; the last one is repeated.

    A busy phone is soon free; a machine says that nobody is there; a network that has no line may have one in
    a minute; a number that the network refuses will hardly be right in half an hour.
    """

    busy: Delays = Field(default=[2, 10, 30])
    no_answer: Delays | None = None
    machine: Delays = Field(default=[120, 1440])
    congestion: Delays = Field(default=[1, 5, 15, 60])
    failed: Delays = Field(default=[30, 240, 1440])


_Address = Annotated[str, form(r"^[^@\s]+@[^@\s]+$", "write an address such as 'desk@example.org'")]


class PromiseSettings(Section):
    """What "we will ring you back" means, and who hears of it before it breaks.

    ``minutes``: of hours in which the customer may be rung. ``escalate_minutes``: how long before that the
    desk, the webhook and the mail are told.
    """

    minutes: float = Field(default=60, gt=0, le=20160)
    escalate_minutes: float = Field(default=15, gt=0, le=1440)
    webhook: Annotated[str, form(r"^(https?://\S+)?$", "write an address that begins with https://")] = ""
    mail_to: list[_Address] = Field(default=[])
    mail_from: Annotated[str, form(r"^([^@\s]+@[^@\s]+)?$", "write one e-mail address")] = ""
    mail_server: str = "127.0.0.1"
    mail_port: Port = 25

    @model_validator(mode="after")
    def _sender_known(self) -> Self:
        if self.mail_to and not self.mail_from:
            raise ValueError("mail_to is given without mail_from; write whose address the mails come from")
        return self
