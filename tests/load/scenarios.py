"""SIPp scenarios of callers and phones, put together from single messages (RFC 3261; REFER: RFC 3515).

``[field0]`` and so on come from the injection file: user, dialled number (or contact), and what makes SIPp
answer a challenge, ``[authentication username=… password=…]``, which it takes from nowhere else.
"""

from __future__ import annotations

_SDP = """Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
"""
_EMPTY = "Content-Length: 0\n\n"
_CONTACT = "Contact: <sip:[field0]@[local_ip]:[local_port]>\n"
_PHONE_CONTACT = "Contact: <sip:[local_ip]:[local_port];transport=[transport]>\n"
_TAG = "[pid]SIPpTag[call_number]"


def _scenario(name: str, *steps: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{name}">\n{"".join(steps)}</scenario>\n'


def _send(message: str, **attributes: str) -> str:
    told = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"  <send{told}><![CDATA[\n{message}]]></send>\n"


def _pause(milliseconds: int) -> str:
    return f'  <pause milliseconds="{milliseconds}"/>\n'


# A caller's side ------------------------------------------------------------------------------


def _ask(
    method: str,
    number: int,
    more: str,
    *,
    to: str = "[peer_tag_param]",
    uri: str = "[next_url]",
    transaction: str = "",
) -> str:
    return (
        f"{method} {uri} SIP/2.0\n"
        "Via: SIP/2.0/[transport] [local_ip]:[local_port]"
        f";branch=z9hG4bK-[pid]-[call_number]-{transaction or method}-{number}\n"
        f"From: <sip:[field0]@[remote_ip]:[remote_port]>;tag={_TAG}\n"
        f"To: <sip:[field1]@[remote_ip]:[remote_port]>{to}\n"
        f"Call-ID: [call_id]\nMax-Forwards: 70\nCSeq: {number} {method}\n{more}"
    )


_DIALLED = "sip:[field1]@[remote_ip]:[remote_port]"
_PROVISIONAL = "".join(f'  <recv response="{code}" optional="true"/>\n' for code in (100, 180, 183))


def _invite(*, known: bool) -> str:
    """``known``: the carrier, by its address; else a phone that is asked for its password first."""
    if known:
        return _send(_ask("INVITE", 1, _CONTACT + _SDP, to="", uri=_DIALLED), retrans="500")
    password = "[field2]\n"
    return (
        _send(_ask("INVITE", 1, _CONTACT + _SDP, to="", uri=_DIALLED), retrans="500")
        + '  <recv response="100" optional="true"/>\n  <recv response="401" auth="true"/>\n'
        + _send(_same_transaction(1, "ACK"))
        + _send(_ask("INVITE", 2, _CONTACT + password + _SDP, to="", uri=_DIALLED), retrans="500")
    )


def _answered(number: int) -> str:
    return f'{_PROVISIONAL}  <recv response="200" rrs="true" timeout="40000"/>\n{_send(_ask("ACK", number, _EMPTY))}'


def caller_who_hangs_up(talk_ms: int, *, known: bool = True) -> str:
    """Answered, then BYE ``talk_ms`` later."""
    number = 1 if known else 2
    bye = _send(_ask("BYE", number + 1, _EMPTY), retrans="500") + '  <recv response="200"/>\n'
    return _scenario("caller", _invite(known=known), _answered(number), _pause(talk_ms), bye)


def caller_who_listens(within_ms: int, *, known: bool = True) -> str:
    """Answered, then waits for the other side's BYE."""
    reply = _send(f"SIP/2.0 200 OK\n{_copied()}{_EMPTY}")
    hung_up = f'  <recv request="BYE" timeout="{within_ms}"/>\n{reply}'
    return _scenario("listener", _invite(known=known), _answered(1 if known else 2), hung_up)


def caller_who_gives_up(ringing_ms: int, *, known: bool = True) -> str:
    """CANCEL ``ringing_ms`` after the last tone or early media began."""
    number = 1 if known else 2
    last = 183 if known else 180
    steps = (
        "".join(f'  <recv response="{code}" optional="true"/>\n' for code in (100, 180) if code != last)
        + f'  <recv response="{last}"/>\n{_pause(ringing_ms)}'
        + _send(_same_transaction(number, "CANCEL"), retrans="500")
        + '  <recv response="200"/>\n  <recv response="487"/>\n'
        + _send(_same_transaction(number, "ACK"))
    )
    return _scenario("gives up", _invite(known=known), steps)


def caller_who_is_refused(status: int, *, known: bool = False) -> str:
    """A final answer other than 200."""
    number = 1 if known else 2
    refused = f'{_PROVISIONAL}  <recv response="{status}" timeout="40000"/>\n'
    return _scenario("refused", _invite(known=known), refused, _send(_same_transaction(number, "ACK")))


def _same_transaction(number: int, method: str) -> str:
    """CANCEL, and ACK of a refusal, belong to the INVITE's transaction (RFC 3261, 9.1 and 17.1.1.3)."""
    to = "" if method == "CANCEL" else "[peer_tag_param]"
    return _ask(method, number, _EMPTY, to=to, uri=_DIALLED, transaction="INVITE")


def registering() -> str:
    """REGISTER with a password; the contact is ``[field1]``."""
    to = "To: <sip:[field0]@[remote_ip]:[remote_port]>\n"

    def register(number: int, more: str) -> str:
        return _send(
            "REGISTER sip:[remote_ip]:[remote_port] SIP/2.0\n"
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
            f"From: <sip:[field0]@[remote_ip]:[remote_port]>;tag={_TAG}\n{to}"
            f"Call-ID: [call_id]\nMax-Forwards: 70\nCSeq: {number} REGISTER\n"
            f"Contact: <sip:[field0]@[field1]>\nExpires: 3600\n{more}{_EMPTY}",
            retrans="500",
        )

    return _scenario(
        "phone that registers",
        register(1, ""),
        '  <recv response="100" optional="true"/>\n  <recv response="401" auth="true"/>\n',
        register(2, "[field2]\n"),
        '  <recv response="100" optional="true"/>\n  <recv response="200"/>\n',
    )


# A phone's side -------------------------------------------------------------------------------


def _copied(tag: str = "") -> str:
    return f"[last_Via:]\n[last_From:]\n[last_To:]{tag}\n[last_Call-ID:]\n[last_CSeq:]\n"


_TAGGED = _copied(f";tag={_TAG}")
_RINGS = _send(f"SIP/2.0 180 Ringing\n{_TAGGED}{_PHONE_CONTACT}{_EMPTY}")
# The caller's side of the dialogue, for requests of our own in it.
_REMEMBERED = "".join(
    f'    <ereg regexp="{pattern}" search_in="hdr" header="{header}:" check_it="true" assign_to="{place}"/>\n'
    for place, (header, pattern) in enumerate(
        (("From", ".*"), ("To", ".*"), ("Contact", "sip:[^>]*"), ("CSeq", "[0-9]+")), start=1
    )
)
_INVITED = f'  <recv request="INVITE">\n   <action>\n{_REMEMBERED}   </action>\n  </recv>\n'
_USED = '  <Reference variables="1,2,3,4"/>\n'
_REPLY = _send(f"SIP/2.0 200 OK\n{_copied()}{_PHONE_CONTACT}{_EMPTY}")
_HUNG_UP = f'  <recv request="BYE"/>\n{_REPLY}'


def _answers(ring_ms: int) -> str:
    ok = _send(f"SIP/2.0 200 OK\n{_TAGGED}{_PHONE_CONTACT}{_SDP}", retrans="500")
    return f'{_INVITED}{_RINGS}{_pause(ring_ms)}{ok}  <recv request="ACK"/>\n'


def _own(method: str, more: str) -> str:
    return _send(
        f"{method} [$3] SIP/2.0\n"
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
        f"From: [$2];tag={_TAG}\nTo: [$1]\n[last_Call-ID:]\nMax-Forwards: 70\nCSeq: 1 {method}\n"
        f"{_PHONE_CONTACT}{more}{_EMPTY}",
        retrans="500",
    )


def phone_that_answers(ring_ms: int) -> str:
    """Answers after ``ring_ms`` and waits for the BYE."""
    return _scenario("answers", _answers(ring_ms), _HUNG_UP, _USED)


def phone_that_hangs_up(ring_ms: int, talk_ms: int) -> str:
    """Answers, and hangs up ``talk_ms`` later."""
    bye = _own("BYE", "") + '  <recv response="200"/>\n'
    return _scenario("hangs up", _answers(ring_ms), _pause(talk_ms), bye, _USED)


def phone_that_transfers(ring_ms: int, talk_ms: int, target: str) -> str:
    """Answers, sends its caller to ``target`` (blind, by REFER) and is hung up on."""
    refer = _own("REFER", f"Refer-To: <sip:{target}@[remote_ip]:[remote_port]>\n")
    again = _REPLY.replace("<send", '<send next="1"', 1)
    notified = (
        '  <label id="1"/>\n  <recv request="NOTIFY" optional="true" next="2"/>\n  <recv request="BYE" next="3"/>\n'
        f'  <label id="2"/>\n{again}'
        f'  <label id="3"/>\n{_REPLY}'
    )
    accepted = '  <recv response="202"/>\n'
    return _scenario("transfers", _answers(ring_ms), _pause(talk_ms), refer, accepted, notified, _USED)


def phone_that_refuses(status: str, ring_ms: int) -> str:
    """Rings, then a final answer such as ``486 Busy Here``."""
    no = _send(f"SIP/2.0 {status}\n{_TAGGED}{_EMPTY}", retrans="500")
    return _scenario("refuses", _INVITED, _RINGS, _pause(ring_ms), no, '  <recv request="ACK"/>\n', _USED)


def phone_that_rings_on() -> str:
    """Rings until the caller gives up."""
    terminated = _send(
        f"SIP/2.0 487 Request Terminated\n[last_Via:]\n[last_From:]\n[last_To:];tag={_TAG}\n[last_Call-ID:]\n"
        f"CSeq: [$4] INVITE\n{_EMPTY}",
        retrans="500",
    )
    given_up = f'  <recv request="CANCEL"/>\n{_REPLY}{terminated}  <recv request="ACK"/>\n'
    return _scenario("rings on", _INVITED, _RINGS, given_up, _USED)
