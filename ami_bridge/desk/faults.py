"""Every answer leaves with the same safe headers, and every fault as one sentence."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from ami_bridge.adapters.store import NotStored, StaleFence, StoreUnavailable
from ami_bridge.configuring import ApplyFailed, NotEditable, Outdated
from ami_bridge.core.callbacks import IllegalTransition
from ami_bridge.desk.shapes import FieldFault, Problem
from ami_bridge.desk.users import UserExists, UserRefused
from ami_bridge.passwords import WeakPassword

log = logging.getLogger(__name__)

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: A page that needs one of these says so itself (phone_pages.py).
_POLICY = "Permissions-Policy", "camera=(), microphone=(), geolocation=()"


async def safe_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal ``on_response_prepare``: also streams and files pass here."""
    response.headers.update(_HEADERS)
    response.headers.setdefault(*_POLICY)
    # aiohttp would name itself and Python with their versions.
    response.headers["Server"] = "fourthring"
    if not request.path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", "no-store")  # calls are personal


#: What a person can mend by another request.
_STATUS: dict[type[Exception], int] = {
    NotStored: 404,
    IllegalTransition: 409,
    StaleFence: 409,
    UserExists: 409,
    UserRefused: 400,
    WeakPassword: 400,
    NotEditable: 409,
    Outdated: 409,
    ApplyFailed: 409,
}
PROBLEM = "application/problem+json"


class Invalid(web.HTTPBadRequest):
    """A query or body that is not as it should be: one sentence, and what is wrong field by field."""

    def __init__(self, where: str, errors: Sequence[FieldFault]) -> None:
        self.errors = errors
        told = "; ".join(f"{error.field}: {error.detail}" for error in errors)
        super().__init__(text=f"The {where} is not as it should be: {told}.")


@web.middleware
async def one_sentence(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what was raised into a status and a sentence, for the API a problem document (RFC 9457)."""
    try:
        return await handler(request)
    except web.HTTPException as refused:
        if refused.status < 400 or not request.path.startswith("/api/"):
            raise
        errors = refused.errors if isinstance(refused, Invalid) else ()
        answer = _answer(request, refused.status, _sentence(refused), errors)
        kept = ("WWW-Authenticate", "Allow", "Retry-After")
        answer.headers.update({name: refused.headers[name] for name in kept if name in refused.headers})
        return answer
    except tuple(_STATUS) as error:
        return _answer(request, _STATUS[type(error)], str(error))
    except StoreUnavailable as error:
        log.warning("%s", error)
        answer = _answer(request, 503, "The store does not answer; try again in a moment.")
        answer.headers["Retry-After"] = "2"
        return answer
    except (ConnectionResetError, BrokenPipeError):
        raise  # the client left; there is nobody to answer
    except Exception:
        number = secrets.token_hex(4)
        log.exception("desk fault %s at %s %s", number, request.method, request.path)
        return _answer(request, 500, f"Something went wrong here; tell the admin fault number {number}.")


def _sentence(refused: web.HTTPException) -> str:
    own = refused.text or ""
    # aiohttp's own text is "404: Not Found"; ours are sentences.
    return own if not own.startswith(f"{refused.status}:") else f"{refused.reason}."


def _answer(
    request: web.Request, status: int, sentence: str, errors: Sequence[FieldFault] = ()
) -> web.Response:
    if not request.path.startswith("/api/"):
        return web.Response(text=sentence + "\n", status=status)
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=sentence, errors=tuple(errors))
    return web.Response(text=problem.model_dump_json(), status=status, content_type=PROBLEM)
