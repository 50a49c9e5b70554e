"""How an audit chain begins: a first key that is sealed to people, and kept by the gate only to move on from it.

The order survives a crash: first the origin is written, then the key and the event that begins with it. An origin whose
event never came is written over by the next attempt.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from dlp import durable, origin, ratchet
from dlp.audit import KEYED
from dlp.config import Config
from dlp.errors import Denied, StoreError
from dlp.model import Say
from dlp.origin import Origin
from dlp.service.certify import state_folder
from dlp.store import AuditEvent
from dlp.store.sqlite import SqliteStore
from dlp.vault import read_recipients

FILE = "audit.origin"
RESTORED = "restored.json"
"""What the trail has to be told about a restore, until a new key has begun with it."""
ACTOR = "gate"


def begin(config: Config, store: SqliteStore) -> Origin | None:
    """Seal the trail from its next event on, unless it is sealed already: then None. StoreError where it cannot be.

    After a restore a new key begins, and the trail tells of it: the old one may have sealed other events since.
    """
    note = state_folder(config) / RESTORED
    if note.exists():
        return _after_restore(config, store, note)
    if store.is_sealed():
        return None
    made, begun = _begin(config, store, actor=ACTOR, body={}, anew=False)
    return made if begun else None


def renew(config: Config, store: SqliteStore, *, actor: str, reason: str) -> Origin:
    """Begin a new chain in the trail of which the key is lost, or ahead of the books; the trail tells who and why.

    Denied while the key is there and fits: nobody changes it without need.
    """
    try:
        (seq, _, mac), key = store.key()
        fits = key is not None and key.begun and mac != "" and key.seq <= seq + 1
    except StoreError:
        fits, seq, key = False, store.head()[0], None
    if fits:
        raise Denied(
            Say("审计密钥完好，不必更换", "the audit key is there and fits: there is nothing to renew"),
            Say("密钥丢失、损坏，或任务库恢复为旧副本后才可更换", "only a lost key, or restored books, are a reason"),
        )
    body = {"reason": reason}
    if key is not None and key.seq > seq + 1:
        body["lost"] = f"{seq + 1}-{key.seq - 1}"
    return _begin(config, store, actor=actor, body=body, anew=True)[0]


def _after_restore(config: Config, store: SqliteStore, note: Path) -> Origin | None:
    made = None
    (seq, _, mac), key = store.key()
    if not (mac and key is not None and (key.begun or key.seq <= seq)):  # else a crash came after the key had begun
        try:
            told = msgspec.json.decode(note.read_bytes(), type=dict[str, str | int])
        except (OSError, msgspec.MsgspecError) as err:
            raise StoreError(
                Say(f"恢复记录损坏：{note}", f"the note of a restore is damaged: {note}"),
                Say("重新从备份恢复", "restore the backup again"),
            ) from err
        made = _begin(config, store, actor=ACTOR, body={"reason": "restored", **told}, anew=True)[0]
    note.unlink()
    durable.fsync_dir(note.parent)
    return made


def kept(path: Path) -> tuple[Origin, ...]:
    """Return the origins in a file, at least one; StoreError when it is damaged or cannot be read."""
    try:
        return origin.read(path.read_bytes())
    except (OSError, ValueError) as err:
        raise StoreError(
            Say(f"开链凭据损坏或不可读：{path}", f"the origins of the audit chain are damaged: {path}"),
            Say("请用留存的副本核对、恢复", "compare with the copy that was carried away, and restore it"),
        ) from err


def file_of(config: Config) -> Path:
    """Return where the origins of this site are."""
    return state_folder(config) / FILE


def _begin(
    config: Config, store: SqliteStore, *, actor: str, body: Mapping[str, str | int], anew: bool
) -> tuple[Origin, bool]:
    """Return the origin of a new chain, and whether it began: without `anew`, only where nothing is sealed."""
    paths = config.audit.recipients or (Path(config.vault.folder) / "recipient.txt",)
    recipients = [one for path in paths for one in read_recipients(Path(path))]
    secret = secrets.token_bytes(ratchet.SIZE)
    made = origin.make(secret, recipients)

    def write(begun: tuple[AuditEvent, ...]) -> None:
        path = file_of(config)
        told = {event.body.get("chain") for event in begun}
        before = [one for one in (kept(path) if path.exists() else ()) if one.chain in told]
        durable.replace(path, origin.write([*before, made]))

    more = {"chain": made.chain, **body}
    return made, store.begin(secret, actor=actor, kind=KEYED, body=more, first=write, anew=anew)
