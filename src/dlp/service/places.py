"""Where the parts of a site are: its vault, and the channels that files and jobs come through."""

from __future__ import annotations

from pathlib import Path

from dlp.config import Config
from dlp.sources import Files, Onward
from dlp.sources.folder import FolderSource
from dlp.sources.held import HeldSource
from dlp.sources.printer import PrinterSource
from dlp.vault import Vault


def open_vault(config: Config) -> Vault:
    """Return the vault of `config`, made at first start."""
    vault = config.vault
    return Vault.create(
        Path(vault.folder), identity=Path(vault.identity), work=Path(vault.work_key), outside=vault.outside
    )


def channels(config: Config, key: bytes) -> dict[str, Files | Onward]:
    """Return the configured folders and printers as sources, by source name."""
    state = Path(config.store.path).parent / "printers"
    found: list[Files | Onward] = [FolderSource(spec, key=key) for spec in config.folders]
    for spec in config.printers:
        kind = HeldSource if spec.mode == "held" else PrinterSource
        found.append(kind(spec, config.printing, state=state, key=key))
    return {source.name: source for source in found}
