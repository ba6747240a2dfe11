"""The demo's users of the desk: one for each agent, a supervisor and an admin, with one-time passwords."""

from __future__ import annotations

from dataclasses import dataclass

from ami_bridge.adapters.store import Store, opened_store
from ami_bridge.desk import users
from ami_bridge.desk.rights import Role
from ami_bridge.settings import Settings


@dataclass(frozen=True, slots=True)
class DemoUser:
    """Somebody to log in as. ``password`` is None once they have chosen their own."""

    name: str
    role: str
    password: str | None


async def demo_users(settings: Settings) -> list[DemoUser]:
    """Make those that are missing, and new one-time passwords for those that nobody has used yet."""
    wanted = [
        users.NewUser(_name_of(settings, extension), Role.AGENT, extension) for extension in settings.agents
    ]
    wanted += [
        users.NewUser("supervisor", Role.SUPERVISOR),
        users.NewUser("admin", Role.ADMIN),
    ]
    async with opened_store(settings.store_url) as store:
        return [await _ready(store, settings, each) for each in wanted]


async def _ready(store: Store, settings: Settings, wanted: users.NewUser) -> DemoUser:
    known = await store.user(wanted.name)
    if known is None:
        password = await users.add_user(store, settings, wanted, "demo")
    elif known.one_time:
        password = await users.set_password(store, wanted.name, "demo")
    else:
        password = None
    return DemoUser(wanted.name, wanted.role.value, password)


def _name_of(settings: Settings, extension: str) -> str:
    """``anna`` where the agent's name can be typed on every keyboard and is one person's, else ``agent101``."""
    first = settings.agents[extension].names.get("en", "").partition(" ")[0].lower()
    same = [
        agent for agent in settings.agents.values() if agent.names.get("en", "").lower().startswith(first)
    ]
    fine = first.isascii() and first.isalpha() and first not in {"supervisor", "admin"} and len(same) == 1
    return first if fine and 2 <= len(first) <= 32 else f"agent{extension}"
