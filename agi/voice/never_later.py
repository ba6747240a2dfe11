"""The "never ring later" lint (etiquette S8): no text of ours asks a person to do the ringing.

Patterns are whole phrases in the words that people use, Russian and English, any case. Our own promise ("we will
ring you back", «мы вам перезвоним», «вы просили вам перезвонить») passes; so does "we shall be glad to hear from you".
"""

from __future__ import annotations

import re

_RU_RING = (
    r"(?:пере|по|до)?(?:звоните|звони)|(?:пере|по)?наберите\s+нас|свяжитесь\s+с\s+нами|обращайтесь|обратитесь"
)
_RU_LATER = (
    r"(?:чуть\s+|немного\s+)?(?:позже|позднее|попозже|потом|завтра|снова|ещё\s+раз|еще\s+раз|"
    r"в\s+другое\s+время|в\s+другой\s+раз|в\s+рабочее\s+время|через\s+\w+)"
)
_RU_ASKED = (
    r"(?:попробуйте|попытайтесь|можете|можно|нужно|надо|следует|придётся|придется|лучше|просим(?:\s+вас)?)"
)
_EN_RING = r"(?:call|ring|phone|dial|contact|try|reach)"
_EN_LATER = (
    r"(?:later|another\s+time|some\s+other\s+time|again|tomorrow|during\s+(?:business|office|working|opening)\s+hours|"
    r"when\s+we\s+(?:are|re)\s*open|in\s+a\s+(?:few|little)\s+\w+|on\s+(?:mon|tues|wednes|thurs|fri|satur|sun)day)"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Перезвоните (нам), позвоните: an order to ring, whenever.
        rf"\b(?:{_RU_RING})\b(?!\s+(?:в\s+дверь))",
        # Попробуйте позже; можете перезвонить завтра; попробуйте дозвониться ещё раз.
        rf"\b{_RU_ASKED}\s+(?:(?:нам|сами|к\s+нам|вам)\s+)*(?:\w*звонить\s+)?(?:нам\s+)?{_RU_LATER}\b",
        rf"\b(?:пере|по|до)?звонить\s+(?:к\s+)?(?:нам\s+)?{_RU_LATER}\b",
        r"\bждём\s+ваш(?:его)?\s+звонк\w*\s+(?:завтра|позже|позднее|в\s+рабочее\s+время)",
        # Call back later; ring us again; try again; please call us on Monday.
        rf"\b{_EN_RING}\s+(?:to\s+\w+\s+)?(?:(?:us|me|this\s+number|our\s+office)\s+)?(?:back\s+|again\s+)?{_EN_LATER}\b",
        r"\b(?:call|ring|phone)\s+(?:us|me)\s+back\b",
        r"\b(?:please|kindly|must|should|to)\s+(?:call|ring|phone)\s+back\b",
        r"\bcome\s+back\s+(?:later|another\s+time)\b",
    )
)
# What the patterns would find although nobody is sent away: we are the ones who ring.
_OURS = re.compile(
    r"\b(?:мы|вам|вас)\s+(?:\w+\s+){0,3}?\w*звон(?:им|ят|ить)\b|\bwe\s+(?:will|shall|can|gladly|\s)+(?:try|call|ring|phone)"
    r"(?:\s+you)?(?:\s+back)?(?:\s+(?:again|later|tomorrow))?",
    re.IGNORECASE,
)


def call_later_phrases(text: str) -> list[str]:
    """What in ``text`` asks the caller to ring another time (S8), in order; empty when nothing does."""
    ours = [match.span() for match in _OURS.finditer(text)]
    found: dict[int, str] = {}
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            if not any(begin <= match.start() < end for begin, end in ours):
                found.setdefault(match.start(), match.group(0))
    return [found[start] for start in sorted(found)]
