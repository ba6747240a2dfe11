"""The words of the pages, in Russian and English."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path

from ami_bridge.resources import shipped_folder

_EN = {
    "calls": "Calls",
    "callbacks": "Callbacks",
    "when": "When",
    "caller": "Caller",
    "department": "Department",
    "answered_by": "Answered by",
    "ring": "Ring",
    "result": "Result",
    "failover": "Handed to the queue because",
    "hung_up_by": "Hung up first",
    "number": "Number",
    "state": "State",
    "attempts": "Attempts",
    "due": "Due",
    "recordings": "Recordings",
    "no_calls": "No call yet. Ring one of the departments, and it appears here.",
    "no_callbacks": "Nobody waits to be rung back.",
    "log_in": "Log in",
    "log_out": "Log out",
    "user_name": "User name",
    "password": "Password",
    "code": "Code",
    "code_hint": "From your authenticator application, if you use one.",
    "login_wrong": "Name, password or code is wrong.",
    "login_wait": "Too many attempts. Wait a little, then try again.",
    "choose_password": "Choose a password",
    "one_time": "You logged in with a one-time password. Choose your own to go on.",
    "old_password": "Password until now",
    "new_password": "New password",
    "new_password_again": "New password again",
    "password_rule": "12 characters or more; several words are fine. Not your user name.",
    "password_old": "The password until now is wrong.",
    "password_again": "The two new passwords differ.",
    "password_same": "That is the password until now; take another.",
    "password_weak": "Too easy to guess: take 12 characters or more, several words, without your user name.",
    "password_wait": "Too many attempts. Wait a little, then try again.",
    "save": "Save",
    "times": "Times are on the department's own clock.",
    "skip": "Skip to the content",
    "name": "name",
    "subject": "subject",
    "early": "early",
    "ideal": "ideal",
    "late": "late",
    "missed": "missed",
    "capturing": "being told",
    "partial": "incomplete",
    "queued": "waiting",
    "claimed": "being prepared",
    "dialing": "ringing",
    "talking": "talking",
    "done": "done",
    "unknown": "unknown",
    "exhausted": "not reached",
    "cancelled": "called off",
    "expired": "too late",
    "agent": "agent",
    "caller_hung_up": "caller",
    "system": "system",
    "network": "network",
}
_RU = {
    "calls": "Звонки",
    "callbacks": "Обратные звонки",
    "when": "Когда",
    "caller": "Кто звонил",
    "department": "Отдел",
    "answered_by": "Кто ответил",
    "ring": "Гудок",
    "result": "Итог",
    "failover": "Почему передан в очередь",
    "hung_up_by": "Кто положил трубку",
    "number": "Номер",
    "state": "Состояние",
    "attempts": "Попытки",
    "due": "Не раньше",
    "recordings": "Записи",
    "no_calls": "Звонков ещё не было. Позвоните в любой отдел, и звонок появится здесь.",
    "no_callbacks": "Обратного звонка никто не ждёт.",
    "log_in": "Войти",
    "log_out": "Выйти",
    "user_name": "Имя пользователя",
    "password": "Пароль",
    "code": "Код",
    "code_hint": "Из приложения-аутентификатора, если вы им пользуетесь.",
    "login_wrong": "Имя, пароль или код не подходят.",
    "login_wait": "Слишком много попыток. Подождите немного и попробуйте снова.",
    "choose_password": "Придумайте пароль",
    "one_time": "Вы вошли с одноразовым паролем. Чтобы продолжить, придумайте свой.",
    "old_password": "Прежний пароль",
    "new_password": "Новый пароль",
    "new_password_again": "Новый пароль ещё раз",
    "password_rule": "Не меньше 12 знаков; можно несколько слов. Без имени пользователя.",
    "password_old": "Прежний пароль не подходит.",
    "password_again": "Новые пароли не совпадают.",
    "password_same": "Это прежний пароль; возьмите другой.",
    "password_weak": "Слишком легко угадать: не меньше 12 знаков, несколько слов, без имени пользователя.",
    "password_wait": "Слишком много попыток. Подождите немного и попробуйте снова.",
    "save": "Сохранить",
    "times": "Время указано по часам отдела.",
    "skip": "К содержанию",
    "name": "имя",
    "subject": "вопрос",
    "early": "рано",
    "ideal": "вовремя",
    "late": "поздно",
    "missed": "пропущен",
    "capturing": "диктует",
    "partial": "не договорил",
    "queued": "ждёт",
    "claimed": "готовится",
    "dialing": "набираем",
    "talking": "разговор",
    "done": "готово",
    "unknown": "неизвестно",
    "exhausted": "не дозвонились",
    "cancelled": "отменён",
    "expired": "просрочен",
    "agent": "сотрудник",
    "caller_hung_up": "звонивший",
    "system": "система",
    "network": "сеть",
}
_BY_LANGUAGE = {"en": _EN, "ru": _RU}


class Words(dict[str, str]):
    """Words by key; what has none is shown as it is stored."""

    def __missing__(self, key: str) -> str:
        return key


@functools.cache
def of(language: str) -> Mapping[str, str]:
    """The words of ``language`` ("ru" or "en"): those of the doors from here, the others from ``config/desk``."""
    words = dict(_BY_LANGUAGE[language])
    for path in files_of(language):
        words |= tomllib.loads(path.read_text(encoding="utf-8"))["words"]
    return Words(words)


def files_of(language: str) -> list[Path]:
    """``LANGUAGE.toml`` and every ``PART.LANGUAGE.toml`` beside it: a part of the desk may have a file of its own."""
    folder = shipped_folder("config") / "desk"
    return [folder / f"{language}.toml", *sorted(folder.glob(f"*.{language}.toml"))]


def choose(accepted: str) -> str:
    """The best language for an Accept-Language header (RFC 9110, 12.5.4); English when neither is wanted."""
    weighed = []
    for place, item in enumerate(accepted.split(",")[:20]):
        tag, _, weight = item.strip().partition(";q=")
        language = tag.split("-")[0].lower()
        if language in _BY_LANGUAGE:
            weighed.append((-_weight(weight), place, language))
    wanted = [entry for entry in sorted(weighed) if entry[0] < 0]
    return wanted[0][2] if wanted else "en"


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0) if text else 1.0
    except ValueError:
        return 0.0
