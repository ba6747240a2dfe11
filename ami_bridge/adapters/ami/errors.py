"""What can go wrong with the AMI link; each message is one sentence with its remedy."""

from __future__ import annotations

from ami_bridge.errors import FourthRingError


class AmiError(FourthRingError):
    """Anything that the AMI link refuses or loses."""


class AmiAuthError(AmiError):
    """The PBX refused the account. The link stops and does not try again."""

    def __init__(self, username: str, address: str, message: str) -> None:
        super().__init__(
            f"The PBX at {address} refused the AMI account '{username}' ({message}); make the account, "
            f"its secret and its 'permit' in manager.conf match the bridge's, then start it again."
        )


class AmiMisconfigured(AmiError):
    """The PBX is another one than the configuration says. The link stops: every event would be refused."""

    def __init__(self, address: str, found: str, expected: str) -> None:
        super().__init__(
            f"The PBX at {address} has the systemname '{found}', not '{expected}'; set 'systemname = {expected}' in "
            f"asterisk.conf, or make node.name and the AMI address fit."
        )


class AmiNotReady(AmiError):
    """The link is down: nothing was sent, and nothing will be sent later."""

    def __init__(self, what: str, state: str) -> None:
        super().__init__(f"The AMI link is {state}, so '{what}' was not sent; try again when it is ready.")


class AmiLost(AmiError):
    """The link broke between an action and its answer: unknown outcome. It is never sent again."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The AMI link broke before '{what}' was answered: unknown outcome; "
            f"look at the channels before doing it again."
        )


class AmiTimeout(AmiError):
    """No answer in time: unknown outcome. It is never sent again."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(
            f"The PBX did not answer '{what}' within {seconds:g} s: unknown outcome; "
            f"look at the channels before doing it again."
        )


class AmiValueError(AmiError):
    """A header that must not go out; nothing was sent."""

    def __init__(self, header: str, fault: str) -> None:
        super().__init__(f"The AMI header {header!r} {fault}; nothing was sent.")
