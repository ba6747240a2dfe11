"""Every channel variable of ours, named once. The dialplan and the AGI steps speak of these and no others.

All values are ours or digits only: nothing that a stranger wrote is ever put into one, except the caller's
keys, which Read() limits to DTMF.
"""

from __future__ import annotations

from enum import StrEnum


class Variable(StrEnum):
    """A channel variable; the comment says who sets it and what it means."""

    # Set by the inbound context and inherited by the legs that it dials.
    DEPARTMENT = "FR_DEPARTMENT"  # slug of the department that was called
    DID = "FR_DID"  # the number that was called, digits
    CALLER = "FR_CALLER"  # the caller's number after FILTER(+0-9), "" when withheld
    LANGUAGE = "FR_LANGUAGE"  # the language in which this caller is served
    CALLER_CHANNEL = "FR_CALLER_CHANNEL"  # the caller's channel, for those who speak of him elsewhere

    # Set by an AGI step, read by the dialplan right after it.
    STEP_OK = "FR_STEP_OK"  # "1", always set last: only then is the rest of the answer whole
    FILES = "FR_FILES"  # files to play, joined with &, absolute, without extension
    DO = "FR_DO"  # what the dialplan does next: one of agi.turns.Do
    DIGITS = "FR_DIGITS"  # the most keys that may be pressed
    WAIT = "FR_WAIT"  # seconds for the (next) key
    RECORDING = "FR_RECORDING"  # where to record, absolute, without extension
    MAX_SECONDS = "FR_MAX_SECONDS"  # longest recording
    AGREED = "FR_AGREED"  # what agent and customer agreed on: see agi/steps/outcome.py
    PLACE = "FR_PLACE"  # the caller's position in the queue, "" for its end
    NUMBER = "FR_NUMBER"  # the customer to be dialled: E.164 digits without plus

    # Set by the dialplan for one request to the AGI (its context "ask").
    STEP = "FR_STEP"  # greeting | parting | turn
    ASK_1 = "FR_ASK_1"  # the step's arguments
    ASK_2 = "FR_ASK_2"
    ASK_3 = "FR_ASK_3"
    ASK_4 = "FR_ASK_4"
    ASK_5 = "FR_ASK_5"
    ASKED = "FR_ASKED"  # number of the request on this channel
    ASKER = "FR_ASKER"  # name of the channel that is served
    ASKER_ID = "FR_ASKER_ID"  # its uniqueid

    # Set by the dialplan while it performs a conversation, handed to the step as arguments.
    RESULT = "FR_RESULT"  # what came of the last turn: keys, or the RECORD_STATUS
    CONVERSATION = (
        "FR_CONVERSATION"  # capture | briefing | outcome | dial | convenient | confirm (asked for by the
    )
    # context customer-who alone) | own_name | own_greeting
    ABOUT = "FR_ABOUT"  # the department (capture) or the callback's id (briefing)
    LOST = "FR_LOST"  # the context that takes over when the AGI is gone

    # Set by the dialer in its Originate.
    CALLBACK = "FR_CALLBACK"  # id of the callback
    ATTEMPT = "FR_ATTEMPT"  # id of the attempt
    AGENT = "FR_AGENT"  # extension of the agent who is rung first

    FIRST = "FR_FIRST"  # "1" when the customer is rung before the agent (callback.mode = "customer_first")
    CONFIRM = "FR_CONFIRM"  # "1" when whoever answers is asked first whether he wishes to talk with us

    # The dialplan's own.
    RING = "FR_RING"  # "1" once the agent who is kept for a customer is to be rung
    PICKED = "FR_PICKED"  # "1" once he has picked up
    LEG = "FR_LEG"  # the attempt's channel, for that agent's phone
    DETECT = "FR_DETECT"  # "1" where machine detection listens to who has answered
    LIMIT = "FR_LIMIT"  # option of Bridge() that ends a long talk; "" where none is too long
    WHO = "FR_WHO"  # who that was: person | machine | refused | unconfirmed
    AGENT_CHANNEL = "FR_AGENT_CHANNEL"  # the agent's channel, for the customer's
    KEY = "FR_KEY"  # the customer's answer to that question
    TRIES = "FR_TRIES"  # how often the message to a machine was begun
    CHOSEN = "FR_CHOSEN"  # "1" while the phone of an agent is looked for whom the dialer has chosen
    PHONES = "FR_PHONES"  # phones that can ring, joined with &
    OTHER = "FR_OTHER"  # the language that a key would choose instead
    MINUTE = "FR_MINUTE"  # the department's wall clock, "1" and HHMM
    TODAY = "FR_TODAY"  # what the department's hours are looked up by
    CLOSES = "FR_CLOSES"  # the minute of the day at which the department closes; "" when it stays open
    LONGEST = "FR_LONGEST"  # seconds for which the caller waits before a callback is offered by itself
    REASON = "FR_REASON"  # why the call fell over to the queue
    STATE = "FR_STATE"  # device state of the phone being offered
    PEER = "FR_PEER"  # channel of the agent who has answered
    ENDPOINT = "FR_ENDPOINT"  # that channel's endpoint
    GREETED = "FR_GREETED"  # "1" once the greeting of the agent who answered has been said
    MEMBER = "FR_MEMBER"  # "1" on the channel that stands for the caller before a member of the queue
    TALKED = "FR_TALKED"  # "1" once caller and member of the queue were connected
    OUTCOME = "FR_OUTCOME"  # how the attempt to ring a customer ended
    SPOOL = "FR_SPOOL"  # plain recording, taken without the AGI


#: What a step can answer with: the dialplan carries these, and no others, from the errand to the served channel.
ANSWERS = (
    Variable.FILES,
    Variable.DO,
    Variable.DIGITS,
    Variable.WAIT,
    Variable.RECORDING,
    Variable.MAX_SECONDS,
    Variable.NUMBER,
    Variable.AGREED,
    Variable.PLACE,
)
