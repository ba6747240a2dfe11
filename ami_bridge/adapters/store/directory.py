"""What the configuration says about departments and people, in the store's words."""

from __future__ import annotations

from ami_bridge.adapters.store.entries import AgentEntry, DepartmentEntry
from ami_bridge.settings import Settings


def directory_of(settings: Settings) -> tuple[list[DepartmentEntry], list[AgentEntry]]:
    """Departments and agents, ready for ``save_directory``."""
    departments = [
        DepartmentEntry(
            slug=slug,
            names=department.names,
            language=settings.language_of(slug),
            time_zone=str(settings.zone_info_of(slug)),
            dids=tuple(department.dids),
        )
        for slug, department in settings.departments.items()
    ]
    agents = [
        AgentEntry(
            extension=extension,
            names=agent.names,
            positions=agent.positions,
            departments=tuple(
                slug
                for slug, department in settings.departments.items()
                if extension in {*department.direct, *department.queue}
            ),
        )
        for extension, agent in settings.agents.items()
    ]
    return departments, agents
