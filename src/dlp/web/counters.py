"""Where jobs come from, by the names that people have for it, and never by the word that the books have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dlp.config import Config
from dlp.store import Job


def places(config: Config) -> Iterator[tuple[str, str, str]]:
    """Give each source of jobs, the counter that it belongs to, and its own name."""
    yield from ((f"folder:{one.name}", one.owner or one.name, one.name) for one in config.folders)
    yield from ((one.source, one.owner or one.name, one.name) for one in config.printers)


def sources(config: Config) -> tuple[tuple[str, str], ...]:
    """Return what a list can be narrowed to: each source, and what it is called."""
    return tuple((source, owner if owner == name else f"{owner} · {name}") for source, owner, name in places(config))


def counter(config: Config) -> Callable[[Job], str]:
    """Return what calls where a job came from by its name."""
    known = {source: owner for source, owner, _ in places(config)}

    def called(job: Job) -> str:
        source = job.item.source
        return job.item.owner or known.get(source) or source.partition(":")[2] or source

    return called
