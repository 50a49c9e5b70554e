"""The compiled scanner that a deployment keeps: quick starts, and nobody can plant another one."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from dlp import config as configuration
from dlp import words
from dlp.config import Config
from dlp.errors import PackError
from dlp.model import evolve
from dlp.service import compiled
from dlp.service.gate import load_packs
from dlp.service.keys import deployment_key


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> Config:
    return evolve(
        configuration.Config(), store=evolve(configuration.Config().store, path=tmp_path / "state" / "gate.db")
    )


def test_the_second_start_compiles_nothing(settings: Config) -> None:
    """What the first start compiled is taken by the second, and it is for its owner's eyes only."""
    folder = Path(settings.store.path).parent
    key, loaded = deployment_key(folder), load_packs(settings)
    assert compiled.matcher(settings, loaded, key).scanner.is_new
    assert not compiled.matcher(settings, loaded, key).scanner.is_new
    assert (folder / "scanner.cache").stat().st_mode & 0o777 == 0o600
    assert compiled.matcher(settings, loaded[1:], key).scanner.is_new


def test_a_planted_scanner_is_not_taken(settings: Config) -> None:
    """A file that another key sealed, a changed one and a cut one are compiled again."""
    folder = Path(settings.store.path).parent
    key, loaded = deployment_key(folder), load_packs(settings)[:3]
    compiled.matcher(settings, loaded, secrets.token_bytes(32))
    assert compiled.matcher(settings, loaded, key).scanner.is_new
    path = folder / "scanner.cache"
    whole = path.read_bytes()
    for bad in (whole[:-1], whole[:100], b"", whole[:50] + bytes([whole[50] ^ 1]) + whole[51:]):
        path.write_bytes(bad)
        assert compiled.matcher(settings, loaded, key).scanner.is_new


def test_a_scan_without_a_deployment_leaves_no_trace(settings: Config) -> None:
    """Where no key was made, nothing is kept."""
    compiled.matcher(settings, load_packs(settings)[:2], secrets.token_bytes(32))
    assert not Path(settings.store.path).parent.exists()


def test_a_word_list_of_the_site_is_read_with_the_packs(settings: Config, tmp_path: Path) -> None:
    """Its words are in use after a load; every bad line is told with its number; a missing file is told."""
    path = tmp_path / "words.txt"
    path.write_text("星机 500\n", encoding="utf-8")
    config = evolve(settings, packs=evolve(settings.packs, words=(path,)))
    load_packs(config)
    assert words.site_words() == (("星机", 500),)
    path.write_text("星机 500\n一\n# 说明\n甲 乙\n", encoding="utf-8")
    with pytest.raises(PackError) as caught:
        load_packs(config)
    assert [(p.file, p.line) for p in caught.value.problems] == [(str(path), 2), (str(path), 4)]
    path.unlink()
    with pytest.raises(PackError, match="cannot be read"):
        load_packs(config)
    load_packs(settings)
    assert words.site_words() == ()
