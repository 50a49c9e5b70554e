"""The configuration: every section, every fault at once with key and line, nothing impossible, nothing milder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import dlp
from dlp import config, policy
from dlp.config import Config
from dlp.errors import ConfigError
from dlp.ladder import House, HouseStep
from dlp.limits import Limits
from dlp.model import Action, Gap, GapKind, Item, Level, Regime, Severity
from dlp.rights import Role

ROOT = Path(__file__).resolve().parents[1]
CODE = Path(dlp.__file__).resolve().parent
ITEM = Item(id="01J", source="folder:外发", path="a", name="a")

EVERY_SECTION = """
[site]
unit = "某某文印中心"
qualification = "乙级"
province = "浙江"
system = "机密"
language = "en"

[[folders]]
name = "一号窗口"
watch = "in/1"
release = "out/1"
owner = "李"
target = "打印机"
settle_seconds = 2
watcher = "poll"
poll_seconds = 3.5
sweep_seconds = 60
[[folders]]
name = "二号窗口"
watch = "in/2"
release = "/srv/out/2"

[packs]
folders = ["rules", "/srv/rules"]
disabled = ["finance"]

[policy]
shadow = true
gaps = "block"
[[policy.clauses]]
name = "one"
action = "alert"
when = { category = ["identity"], regime = ["state"], level_at_least = "秘密", severity_at_least = "high", gap = [] }
say = "看"
shadow = true

[ladder]
valid_hours = 48
[[ladder.steps]]
name = "财务会签"
say = "财务科会签"
say_en = "co-signed by finance"
roles = ["department-head", "leader"]
persons = 2
unit = "财务科"
again = true
article = "《某某制度》第三条"
level_at_least = "机密"
regime = ["commercial", "work"]
[[ladder.steps]]
name = "b"
say = "乙"
roles = ["reviewer"]

[limits]
pages = 7
wall_seconds = 1.5

[sandbox]
level = "rlimits"
user = "gate"
children = 3

[vault]
folder = "v"
identity = "/keys/id"
work_key = "v/work"
block_retention_days = 0

[store]
path = "s/gate.db"

[log]
level = "debug"
"""


def read(text: str, base: Path = Path("/site")) -> Config:
    """Return the configuration of a file at `base`."""
    return config.parse(text, file="config.toml", base=base)


def faults(text: str, base: Path = Path("/site")) -> list[tuple[int | None, str]]:
    """Return line and key of every fault."""
    with pytest.raises(ConfigError) as err:
        read(text, base)
    assert err.value.exit == 3
    assert err.value.hint is not None
    assert str(len(err.value.problems)) in err.value.say.zh
    assert all(p.file == "config.toml" and p.say.zh and p.say.en for p in err.value.problems)
    return [(p.line, p.key) for p in err.value.problems]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with no configuration named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DLP_CONFIG", raising=False)
    return tmp_path


def test_every_section_is_read() -> None:
    """Each key of each section arrives as its type."""
    got = read(EVERY_SECTION)
    assert got.site == config.Site(
        unit="某某文印中心", qualification="乙级", province="浙江", system="机密", language="en"
    )
    one, two = got.folders
    assert one == config.Folder(
        name="一号窗口",
        watch=Path("/site/in/1"),
        release=Path("/site/out/1"),
        owner="李",
        target="打印机",
        settle_seconds=2.0,
        watcher="poll",
        poll_seconds=3.5,
        sweep_seconds=60.0,
    )
    assert (two.release, two.watcher, two.owner) == (Path("/srv/out/2"), "auto", "")
    assert got.packs == config.Packs(folders=(Path("/site/rules"), Path("/srv/rules")), disabled=("finance",))
    assert (got.policy.shadow, got.policy.gaps) == (True, Action.BLOCK)
    (clause,) = got.policy.clauses
    assert (clause.name, clause.action, clause.say, clause.shadow) == ("one", Action.ALERT, "看", True)
    assert clause.when == policy.When(
        category=("identity",), regime=(Regime.STATE,), level_at_least=Level.SECRET, severity_at_least=Severity.HIGH
    )
    assert got.ladder == House(
        valid_hours=48,
        steps=(
            HouseStep(
                name="财务会签",
                say="财务科会签",
                say_en="co-signed by finance",
                roles=(Role.DEPARTMENT_HEAD, Role.LEADER),
                persons=2,
                unit="财务科",
                again=True,
                article="《某某制度》第三条",
                level_at_least=Level.CONFIDENTIAL,
                regime=(Regime.COMMERCIAL, Regime.WORK),
            ),
            HouseStep(name="b", say="乙", roles=(Role.REVIEWER,)),
        ),
    )
    assert got.limits == Limits(pages=7, wall_seconds=1.5)
    assert got.sandbox == config.SandboxSpec(level="rlimits", user="gate", children=3)
    assert got.vault == config.VaultSpec(
        folder=Path("/site/v"), identity=Path("/keys/id"), work_key=Path("/site/v/work"), block_retention_days=0
    )
    assert got.store.path == Path("/site/s/gate.db")
    assert got.log.level == "debug"


def test_an_empty_file_means_the_defaults() -> None:
    """Nothing has to be written; the embedded defaults hold, beside the file."""
    got = read("")
    assert got == config._anchored(Config(), Path("/site"))
    assert got.sandbox.level == "full"
    assert got.policy.gaps is Action.QUARANTINE
    assert not got.policy.shadow


def test_the_shipped_example_is_the_real_defaults() -> None:
    """`config.example.toml` is what `dlp config init` writes, byte for byte, and reads back to the defaults."""
    text = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    assert text == config.example()
    assert read(text) == read("")


def test_any_configuration_reads_back_from_its_own_toml() -> None:
    """What `dlp config show` prints is a configuration with the same values."""
    got = read(EVERY_SECTION)
    assert read(config.toml(got), Path("/elsewhere")) == got


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "a\x7fb\x00", "制表\t", "\u2028"])
def test_any_text_reads_back_from_its_own_toml(text: str) -> None:
    """Quotes, backslashes and controls in a value do not break what is shown."""
    got = Config(site=config.Site(unit=text))
    assert read(config.toml(got)).site.unit == text


def test_paths_are_relative_to_the_file(here: Path) -> None:
    """Wherever the program is started, a path means the same place; `..` is resolved, absolute paths stay."""
    site = here / "etc" / "gate"
    site.mkdir(parents=True)
    text = '[[folders]]\nname = "a"\nwatch = "in"\nrelease = "../out"\n[vault]\nidentity = "/keys/id"\n'
    (site / "config.toml").write_text(text, encoding="utf-8")
    for path in (site / "config.toml", Path("etc/gate/config.toml")):
        got = config.read(path)
        assert got.folders[0].watch == site / "in"
        assert got.folders[0].release == here / "etc" / "out"
        assert got.vault.folder == site / "quarantine"
        assert got.vault.identity == Path("/keys/id")


def test_the_configuration_that_holds_is_found(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$DLP_CONFIG, then ./config.toml, then the defaults in the working folder."""
    assert config.find() is None
    assert config.read(None).vault.folder == here / "quarantine"
    (here / "config.toml").write_text("", encoding="utf-8")
    assert config.find() == Path("config.toml")
    monkeypatch.setenv("DLP_CONFIG", "/else/where.toml")
    assert config.find() == Path("/else/where.toml")


@pytest.mark.parametrize("content", [None, b"\xff\xfe[site]"])
def test_a_file_that_cannot_be_read_is_an_operator_error(tmp_path: Path, content: bytes | None) -> None:
    """Missing, or no UTF-8: told with the path and what to do."""
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as err:
        config.read(path)
    assert str(path) in err.value.say.zh
    assert err.value.hint is not None
    assert "dlp config init" in err.value.hint.en


def test_every_fault_is_told_at_once_with_key_and_line() -> None:
    """Unknown keys, wrong types, wrong values, missing keys and impossible paths, sorted by line."""
    text = """[site]
qualification = "丙级"
untit = "x"
[[folders]]
name = "a"
watch = "in"
release = "in/out"
[packs]
folders = "rules"
[policy]
gaps = "allow"
[limits]
pages = 0
wall_seconds = "long"
[sandbox]
level = "none"
children = 65
[vault]
folder = "in/vault"
[store]
path = ""
[log]
level = 3
[web]
port = 80
"""
    assert faults(text) == [
        (2, "site.qualification"),
        (3, "site.untit"),
        (7, "folders[1].release"),
        (9, "packs.folders"),
        (11, "policy.gaps"),
        (13, "limits.pages"),
        (14, "limits.wall_seconds"),
        (16, "sandbox.level"),
        (17, "sandbox.children"),
        (19, "vault.folder"),
        (21, "store.path"),
        (23, "log.level"),
        (24, "web"),
    ]


@pytest.mark.parametrize(
    "section",
    ["site", "packs", "policy", "ladder", "limits", "sandbox", "vault", "store", "log"],
)
def test_an_unknown_key_is_told_in_every_section(section: str) -> None:
    """A slip of the pen never means that a default holds in silence."""
    assert faults(f"[{section}]\n\nnonsense = 1\n") == [(3, f"{section}.nonsense")]


def test_a_weaker_ladder_is_told_with_key_and_line() -> None:
    """A step in place of a built-in one, signers who are none, spans out of range: each with its line."""
    text = """[ladder]
valid_hours = 48
[[ladder.steps]]
name = "leader"
say = "x"
roles = ["operator"]
[[ladder.steps]]
name = "甲"
say = ""
roles = []
"""
    assert faults(text) == [
        (4, "ladder.steps[1].name"),
        (6, "ladder.steps[1].roles"),
        (9, "ladder.steps[2].say"),
        (10, "ladder.steps[2].roles"),
    ]
    text = '[ladder]\nvalid_hours = 9999\n[[ladder.steps]]\nname = "a"\nsay = "x"\nroles = ["boss"]\npersons = 0\n'
    assert faults(text) == [
        (2, "ladder.valid_hours"),
        (6, "ladder.steps[1].roles[1]"),
        (7, "ladder.steps[1].persons"),
    ]


def test_an_unknown_key_is_told_in_a_folder_and_in_a_clause() -> None:
    """Also in tables of an array, and in what a clause looks at."""
    assert faults('[[folders]]\nname = "a"\nwatch = "i"\nrelease = "o"\nsettle = 1\n') == [(5, "folders[1].settle")]
    text = '[[policy.clauses]]\nname = "a"\naction = "alert"\n[[policy.clauses]]\nname = "b"\naction = "alert"\n'
    assert faults(text + "when = {}\nif = 1\n") == [(8, "policy.clauses[2].if")]
    assert faults(text + 'when = { kind = "x" }\n') == [(7, "policy.clauses[2].when.kind")]


@pytest.mark.parametrize(
    "line",
    ["settle_seconds = 0", "poll_seconds = -1", "sweep_seconds = inf", 'watcher = "events"', "name = 3", 'watch = ""'],
)
def test_a_wrong_value_of_a_folder_is_told(line: str) -> None:
    """Times are above zero and finite, the watcher is a known one, a path is not empty."""
    rows = {"name": 'name = "a"', "watch": 'watch = "i"', "release": 'release = "o"'}
    key = line.split(" ", 1)[0]
    rows[key] = line
    text = "\n".join(["[[folders]]", *rows.values()])
    assert faults(text) == [(2 + list(rows).index(key), f"folders[1].{key}")]


def test_text_that_is_no_toml_is_one_fault_with_its_line() -> None:
    """A missing quote is told where it is, and hides behind no other message."""
    assert faults('[site]\nunit = "x\n') == [(2, "TOML")]


def folder(name: str, watch: str, release: str) -> str:
    """Return one folder as four lines of TOML."""
    return f'[[folders]]\nname = "{name}"\nwatch = "{watch}"\nrelease = "{release}"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (folder("a", "in", "in"), [(4, "folders[1].release")]),
        (folder("a", "in", "in/out"), [(4, "folders[1].release")]),
        (folder("a", "io/in", "io"), [(4, "folders[1].release")]),
        (folder("a", "in", "x/../in/out"), [(4, "folders[1].release")]),
        (folder("a", "1", "2") + folder("b", "2", "3"), [(4, "folders[1].release")]),
        (folder("a", "1", "2") + folder("b", "2", "1"), [(4, "folders[1].release"), (8, "folders[2].release")]),
        (folder("a", "1", "2/x") + folder("b", "2", "3"), [(4, "folders[1].release")]),
        (folder("a", "in", "o") + folder("b", "in", "o"), [(7, "folders[2].watch")]),
        (folder("a", "in", "o") + folder("b", "in/sub", "p"), [(7, "folders[2].watch")]),
        (folder("a", "in/sub", "o") + folder("b", "in", "p"), [(7, "folders[2].watch")]),
        (folder("a", "1", "o") + folder("a", "2", "o"), [(6, "folders[2].name")]),
        (folder(" ", "1", "o"), [(2, "folders[1].name")]),
        (folder("a", "in", "out") + '[vault]\nfolder = "in/vault"\n', [(6, "vault.folder")]),
        (folder("a", "v/in", "out") + '[vault]\nfolder = "v"\n', [(6, "vault.folder")]),
        (folder("a", "in", "out") + '[vault]\nfolder = "out/vault"\n', [(6, "vault.folder")]),
        (folder("a", "in", "out") + '[vault]\nidentity = "in/id"\n', [(6, "vault.identity")]),
        (folder("a", "in", "out") + '[vault]\nwork_key = "out/w"\n', [(6, "vault.work_key")]),
        (folder("a", "in", "out") + '[store]\npath = "in/gate.db"\n', [(6, "store.path")]),
        (folder("a", "in", "out") + '[store]\npath = "out/s/gate.db"\n', [(6, "store.path")]),
        (folder("a", "in", "out") + '[packs]\nfolders = ["p",\n"in/p"]\n', [(7, "packs.folders[2]")]),
        (folder("a", str(CODE), "/out"), [(1, "folders")]),
        (folder("a", str(CODE / "sources"), "/out"), [(1, "folders")]),
        (folder("a", "/in", str(CODE.parent)), [(1, "folders")]),
    ],
)
def test_an_impossible_path_is_told(text: str, told: list[tuple[int, str]]) -> None:
    """Loops, overlaps, and the gate's own vault, keys, books, packs and code where files come in or go out."""
    assert faults(text) == told


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[[printers]]\nname = "a b"\nonward = "ipp://h/p"\n', "printers[1].name"),
        ('[[printers]]\nname = "a"\nonward = "socket://h:9100"\n', "printers[1].onward"),
        ('[[printers]]\nname = "a"\nonward = "ipp://h/a b"\n', "printers[1].onward"),
        ('[[printers]]\nname = "a"\nonward = "cups:a"\n', "printers[1].onward"),
        ('[[printers]]\nname = "a"\nqueue = "q"\nonward = "cups:q"\n', "printers[1].onward"),
        ('[[printers]]\nname = "a"\nmode = "held"\nonward = "ipp://h/p"\n', "printers[1].onward"),
        ('[[printers]]\nname = "a"\nonward = "ipp://h/p"\nraw_port = 8631\n', "printers[1].raw_port"),
        ('[[printers]]\nname = "a"\nonward = "ipp://h/p"\nstamp = "yes"\n', "printers[1].stamp"),
        (
            '[[printers]]\nname = "a"\nonward = "ipp://h/p"\n[[printers]]\nname = "a"\nqueue = "b"\nonward = "ipp://h/p"\n',
            "printers[2].name",
        ),
        (
            '[[printers]]\nname = "a"\nonward = "ipp://h/p"\n[[printers]]\nname = "b"\nqueue = "a"\nonward = "ipp://h/p"\n',
            "printers[2].queue",
        ),
        ('[[printers]]\nname = "a"\nonward = "ipp://h/p"\nstamp = "qr"\n', "printers[1].stamp"),
        ("[printing]\nport = 70000\n", "printing.port"),
    ],
)
def test_an_impossible_printer_is_told(text: str, key: str) -> None:
    """Names that are taken, addresses that are none, loops, ports that are taken: each with its key."""
    assert key in [told for _, told in faults(text)]


@pytest.mark.parametrize(
    "onward", ["ipp://10.0.0.5/ipp/print", "ipp://[fe80::1]:8631/ipp/print", "ipp://h", "cups:出纸"]
)
def test_a_printer_is_read(onward: str) -> None:
    """A printer needs a name and where its jobs go; its queue has its name unless another is given."""
    if onward.startswith("cups:出"):
        assert faults(f'[[printers]]\nname = "a"\nonward = "{onward}"\n')
        return
    got = read(f'[[printers]]\nname = "a"\nonward = "{onward}"\nreceipts = "r"\n').printers[0]
    assert (got.source, got.cups_queue, got.receipts) == ("printer:a", "a", Path("/site/r"))


def test_the_shipped_packs_are_not_fed_to_the_gate() -> None:
    """A watched folder that holds the shipped packs is told even where no pack folder is written."""
    packs = config.shipped_packs()
    assert (None, "packs") not in faults(folder("a", str(packs), "/out"))
    assert [key for _, key in faults(folder("a", str(packs), "/out"))] == ["packs"]


def test_a_loop_through_a_link_is_told(tmp_path: Path) -> None:
    """Paths are compared as the places that they lead to."""
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    assert faults(folder("a", "in", "link/out"), tmp_path) == [(4, "folders[1].release")]
    assert faults(folder("a", "in", "out") + '[vault]\nfolder = "link"\n', tmp_path) == [(6, "vault.folder")]


def test_folders_that_only_look_alike_are_possible() -> None:
    """`in` and `inner` share letters, not a place; two windows may release into one folder."""
    read(folder("a", "in", "inner") + folder("b", "in2", "inner"))


def test_all_impossible_paths_are_told_at_once() -> None:
    """One run names each of them, in the order of lines, beside faults of another kind."""
    text = folder("a", "in", "in/out") + folder("a", "in/sub", "out") + '[vault]\nfolder = "in/v"\n[log]\nlevel = 1\n'
    assert faults(text) == [
        (4, "folders[1].release"),
        (6, "folders[2].name"),
        (7, "folders[2].watch"),
        (10, "vault.folder"),
        (12, "log.level"),
    ]


@pytest.mark.parametrize("action", ["allow", "alert", "redact"])
def test_what_was_not_read_cannot_be_let_through(action: str) -> None:
    """The action for gaps has a floor, in the file and in the value itself."""
    assert faults(f'[policy]\n\ngaps = "{action}"\n') == [(3, "policy.gaps")]
    with pytest.raises(ValueError, match="never clean"):
        policy.Policy(gaps=Action(action))


@pytest.mark.parametrize("shadow", ["true", "false"])
@pytest.mark.parametrize("kind", GapKind)
def test_no_clause_makes_a_gap_milder(kind: GapKind, shadow: str) -> None:
    """A clause that names a gap and allows it changes nothing: it is held."""
    text = f'[[policy.clauses]]\nname = "a"\naction = "allow"\nshadow = {shadow}\nwhen = {{ gap = ["{kind.value}"] }}\n'
    verdict = policy.decide(ITEM, (), (Gap(kind=kind),), read(text).policy, "")
    assert verdict.action is Action.QUARANTINE


def test_a_clause_can_make_a_gap_graver() -> None:
    """A site may refuse what is encrypted."""
    text = '[[policy.clauses]]\nname = "a"\naction = "block"\nwhen = { gap = ["encrypted"] }\n'
    got = read(text).policy
    assert policy.decide(ITEM, (), (Gap(kind=GapKind.ENCRYPTED),), got, "").action is Action.BLOCK
    assert policy.decide(ITEM, (), (Gap(kind=GapKind.CORRUPT),), got, "").action is Action.QUARANTINE


def test_a_shown_path_is_plain_text() -> None:
    """Programs get the effective configuration with paths as text and enums as their words."""
    got = config.plain(read(EVERY_SECTION))
    assert got["folders"][0]["watch"] == os.fspath(Path("/site/in/1"))
    assert got["policy"]["gaps"] == "block"
