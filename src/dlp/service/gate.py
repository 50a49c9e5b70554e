"""One gate: configuration, packs, sandbox and scanner put together. What the commands and the Python API use."""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from dlp import config as configuration
from dlp import durable, match, packs, pipeline, policy, words
from dlp.config import Config, Packs
from dlp.errors import NotFound, NotProven, PackError, Problem, UsageError
from dlp.model import (
    Certificate,
    Document,
    Finding,
    Gap,
    GapKind,
    Inspection,
    Item,
    Mode,
    Redacting,
    Say,
    Segment,
    evolve,
)
from dlp.sandbox import Sandbox
from dlp.service import compiled, shelf
from dlp.service.files import opened, write_all
from dlp.service.keys import deployment_key, new_id
from dlp.sources.names import shown

if TYPE_CHECKING:
    from dlp.service.certify import Papers


def load_packs(config: Config, *, published: bool = True) -> tuple[packs.Pack, ...]:
    """Return the packs that the configuration names, every fault of every file reported at once.

    What was published at this site stands in the place of a pack of the same id, unless `published` is False.
    """
    _use_words(config)
    texts: dict[str, str] = {}
    for folder in config.packs.folders or (configuration.shipped_packs(),):
        if not Path(folder).is_dir():
            raise PackError(
                Say(f"规则包文件夹不存在：{folder}", f"there is no pack folder {folder}"),
                hint=Say("检查配置 [packs] folders", "check [packs] folders in the configuration"),
            )
        for path in sorted(Path(folder).glob("*.toml")):
            texts[str(path)] = path.read_text(encoding="utf-8")
    loaded = packs.load(texts)
    if published and (own := shelf.texts(config)):
        loaded = packs.over(loaded, packs.load(own))
    return tuple(p for p in loaded if p.id not in config.packs.disabled)


def _use_words(config: Config) -> None:
    """Let the word borders know the words of the site; PackError names every line that is none."""
    taken: list[tuple[str, int]] = []
    problems: list[Problem] = []
    for path in config.packs.words:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as err:
            raise PackError(
                Say(f"词表读不了：{path}", f"the word list cannot be read: {path}"),
                hint=Say("检查配置 [packs] words，文件须为 UTF-8", "check [packs] words; the file must be UTF-8"),
            ) from err
        found, bad = words.read(lines)
        taken += found
        say = Say("应为“词”或“词 频率”", "must be a word, or a word and its frequency")
        advice = Say("词为 2 至 32 个汉字、字母或数字", "a word has 2 to 32 Han characters, letters or digits")
        problems += [Problem(file=str(path), line=n, key="words", say=say, advice=advice) for n in bad]
    if problems:
        raise PackError(
            Say(f"词表有 {len(problems)} 行不合格", f"{len(problems)} bad lines in the word lists"), tuple(problems)
        )
    words.use(taken)


class Change(NamedTuple):
    """One difference between two sets of packs: a rule or a file, and what it was and is; empty when not there."""

    what: str
    old: str
    new: str


def compare_packs(config: Config, old: Path, new: Path, corpus: Path | None) -> Iterator[Change]:
    """Give every rule that differs between two pack folders and, with a corpus, every file whose verdict does."""
    before, after = (evolve(config, packs=Packs(folders=(folder,))) for folder in (old, new))
    sets = [load_packs(one, published=False) for one in (before, after)]
    rules = [{pack.full_id(rule): msgspec.json.encode(rule) for pack in one for rule in pack.rules} for one in sets]
    for name in sorted(rules[0].keys() | rules[1].keys()):
        if rules[0].get(name) != rules[1].get(name):
            yield Change(
                f"rule {name}",
                "present" * (name in rules[0]),
                "changed" if name in rules[0] and name in rules[1] else "present" * (name in rules[1]),
            )
    if corpus is None:
        return
    files = sorted(path for path in corpus.rglob("*") if path.is_file())
    with Gate(before, loaded=sets[0]) as first, Gate(after, loaded=sets[1]) as second:
        for path, was, now in zip(files, first.scan_each(files), second.scan_each(files), strict=True):
            if was.verdict.action is not now.verdict.action:
                yield Change(f"file {shown(os.fsencode(path))}", was.verdict.action.value, now.verdict.action.value)


def redactable(loaded: Sequence[packs.Pack]) -> frozenset[str]:
    """Return the full ids of the rules whose hits may be cut out of a document."""
    return frozenset(pack.full_id(rule) for pack in loaded for rule in pack.rules if rule.cuts)


def sandbox_of(config: Config) -> Sandbox:
    """Return the sandbox that a configuration asks for, not started yet."""
    return Sandbox(
        level=config.sandbox.level,
        user=config.sandbox.user,
        limits=config.limits,
        passwords=configuration.passwords(config),
        children=config.sandbox.children,
    )


SCANS = 8
"""Files that may wait for OCR while others are read: so many threads more than readers are at work."""


def threads(config: Config) -> int:
    """Return how many files are under way at once: readers, and scans that wait for OCR beside them."""
    return (config.sandbox.children or len(os.sched_getaffinity(0))) + SCANS


class Gate:
    """Scans and redacts single files and texts; holds one sandbox. Use as a context manager or call `close()`."""

    def __init__(self, config: Config, *, key: bytes | None = None, loaded: Sequence[packs.Pack] | None = None) -> None:
        """Make it ready; `loaded` are other packs than those that hold at the site."""
        self.config = config
        self.packs = load_packs(config) if loaded is None else tuple(loaded)
        self._key = key or _key_if_present(config)
        self._sandbox = sandbox_of(config)
        self._started = False
        self._matcher = compiled.matcher(config, self.packs, self._key)

    @classmethod
    def from_config(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Return a gate for the configuration file at `path`; None means the embedded defaults."""
        return cls(configuration.read(Path(path) if path is not None else None))

    @property
    def kit(self) -> pipeline.Kit:
        """Return what a decision needs; starts the sandbox when it is first asked for."""
        if not self._started:
            self._sandbox.start()
            self._started = True
        return pipeline.Kit(
            self._sandbox, self._matcher, self.config.policy, redactable(self.packs), self.config.redacting
        )

    def reload(self, config: Config) -> None:
        """Take new packs, policy and limits; on any fault the old ones stay and the error is raised."""
        loaded = load_packs(config)
        matcher = compiled.matcher(config, loaded, self._key)
        self.config, self.packs, self._matcher = config, loaded, matcher

    def scan(self, path: str | os.PathLike[str], *, target: str = "") -> Inspection:
        """Return what is seen in the file at `path`; NotFound when there is none, UsageError when it is no file."""
        with opened(path) as (fd, size):
            item = self._item(path, size, durable.sha256_of(fd), target)
            body = fd if size <= self.config.limits.file_bytes else None
            return pipeline.inspect(item, body, self.kit)

    def scan_each(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[Inspection]:
        """Give what is seen in each file, in the given order, several read at once.

        A file that cannot be opened gives a gap, and a gap is not clean.
        """
        self.kit  # noqa: B018  starts the sandbox once, before the threads ask for it
        ahead: deque[Future[Inspection]] = deque()
        readers = threads(self.config)
        with ThreadPoolExecutor(readers) as pool:
            try:
                for path in paths:
                    ahead.append(pool.submit(self._scan_or_miss, path))
                    if len(ahead) > 2 * readers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for waiting in ahead:
                    waiting.cancel()

    def _scan_or_miss(self, path: str | os.PathLike[str]) -> Inspection:
        try:
            return self.scan(path)
        except (NotFound, UsageError) as err:
            item = self._item(path, 0, "", "")
            gap = Gap(kind=GapKind.UNSUPPORTED, detail=err.say.en.partition(":")[0])
        except OSError as err:
            item = self._item(path, 0, "", "")
            gap = Gap(kind=GapKind.CORRUPT, detail=f"reading it failed: {os.strerror(err.errno or 0)}")
        verdict = policy.decide(item, (), (gap,), self.config.policy, self._matcher.digest)
        return Inspection(item=item, document=Document(media=""), findings=(), gaps=(gap,), verdict=verdict)

    def scan_text(self, text: str) -> tuple[Finding, ...]:
        """Return the findings in one text; offsets are characters of `text`."""
        return self._matcher.find(Document(media="text/plain", segments=(Segment(text=text),)))[0]

    def explain_text(self, text: str) -> tuple[match.Candidate, ...]:
        """Return every candidate in one text, kept or dropped, and why."""
        return self._matcher.explain(Document(media="text/plain", segments=(Segment(text=text),)))

    def explain_file(self, path: str | os.PathLike[str]) -> tuple[match.Candidate, ...]:
        """Return every candidate in the file at `path`, kept or dropped, and why."""
        with opened(path) as (fd, size):
            return self._matcher.explain(self.kit.sandbox.extract(fd, name=_last(path), size=size))

    def redact(
        self,
        src: str | os.PathLike[str],
        dst: str | os.PathLike[str],
        *,
        how: Redacting | None = None,
        papers: Papers | None = None,
    ) -> Certificate:
        """Write a proven redacted copy of `src` to `dst` (which must not exist) and return its certificate.

        Every hit of a rule that may be cut is removed, in the way of this site or as `how` says. The signed
        certificate and its page are written as `papers` says, and before the copy: there is never a copy without them.
        NotProven when the copy could not be made or did not pass; then nothing is written.
        """
        kit = self.kit if how is None else self.kit._replace(redacting=how)
        with opened(src) as (fd, size):
            # The copy carries the name of `dst`: that is the name that must be clean.
            item = evolve(self._item(src, size, durable.sha256_of(fd), ""), name=_last(dst))
            seen = pipeline.inspect(item, fd if size <= self.config.limits.file_bytes else None, kit)
            if how is not None and how.mode is Mode.RASTER and not _has_pages(seen.item.media):
                raise _not_proven(item.path, NO_PICTURE)
            made = pipeline.redact(seen, fd, kit, everything=True)
        if isinstance(made, Say):
            raise _not_proven(item.path, made)
        try:
            files: list[tuple[Path, bytes | int]] = [(Path(dst), made.body)]
            if papers is not None and papers.certificate is not None:
                from dlp.service import certify  # noqa: PLC0415  a scan signs nothing and starts faster without

                files[:0] = certify.lay_out(certify.issue(self.config, made.certificate), papers)
            write_all(files)
        finally:
            os.close(made.body)
        return made.certificate

    def close(self) -> None:
        """Stop the sandbox."""
        self._sandbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _item(self, path: str | os.PathLike[str], size: int, sha256: str, target: str) -> Item:
        now = time.time()
        return Item(
            id=new_id(now),
            source="scan",
            path=shown(os.fsencode(path)),
            name=_last(path),
            size=size,
            sha256=sha256,
            target=target,
            received=now,
        )


NO_PICTURE = Say(
    "此类文件没有可转为图片的页面，请用 --mode auto", "it has no pages that could become pictures: use --mode auto"
)


def _not_proven(path: str, why: Say) -> NotProven:
    return NotProven(
        Say(f"未生成脱敏件：{path}：{why.zh}", f"no redacted copy of {path}: {why.en}"),
        Say("原件未改动，请人工处理", "the original is unchanged; handle it by hand"),
    )


def _has_pages(media: str) -> bool:
    """Tell whether a file can be redacted as pictures: a format whose text flows knows no other way than its own."""
    return media in pipeline.RASTERS or media.startswith("image/")


def _last(path: str | os.PathLike[str]) -> str:
    return shown(os.fsencode(Path(os.fspath(path)).name))


def _key_if_present(config: Config) -> bytes:
    """Return the key of this deployment, or a fresh one where none was made yet: a scan leaves no trace."""
    folder = Path(config.store.path).parent
    if (folder / "findings.key").exists():
        return deployment_key(folder)
    return secrets.token_bytes(32)
