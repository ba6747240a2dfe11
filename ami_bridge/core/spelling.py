"""A name spelled by key: each letter by as many presses of its key as its place on it, a star between two letters.

The letters lie on the keys as telephones print them (ITU-T E.161, and its Russian custom); 0 is the space between
two names.
"""

from __future__ import annotations

_LATIN = {"2": "ABC", "3": "DEF", "4": "GHI", "5": "JKL", "6": "MNO", "7": "PQRS", "8": "TUV", "9": "WXYZ"}
_CYRILLIC = {
    "2": "АБВГ",
    "3": "ДЕЖЗ",
    "4": "ИЙКЛ",
    "5": "МНОП",
    "6": "РСТУ",
    "7": "ФХЦЧ",
    "8": "ШЩЪЫ",
    "9": "ЬЭЮЯ",
}
_KEYPADS = {"en": _LATIN, "ru": _CYRILLIC}


def letters_of(language: str) -> str:
    """The letters that can be spelled in ``language``; "" where its keys have none."""
    return "".join(_KEYPADS.get(language, {}).values())


def spelled(keys: str, language: str) -> str | None:
    """The name behind ``keys``: "444*444" is "II" in English; None when some of them are no letter."""
    pad = _KEYPADS.get(language, {})
    letters = []
    for pressed in filter(None, keys.split("*")):
        key = pressed[0]
        if pressed != key * len(pressed):
            return None
        if key == "0":
            letters.append(" ")
            continue
        if len(pressed) > len(pad.get(key, "")):
            return None
        letters.append(pad[key][len(pressed) - 1])
    name = " ".join("".join(letters).split()).title()
    return name or None
