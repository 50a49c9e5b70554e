"""The review desk in the console: what waits, the evidence, what each role may do, and a copy before it leaves."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tempfile
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest
from PIL import Image

from dlp.model import Action, Finding, Item, Level, Mark, Picture, Regime, State, Verdict
from dlp.review import LABELS, Ruling
from dlp.service import evidence
from dlp.service.keys import new_id
from dlp.service.places import open_vault
from dlp.store import Job
from dlp.web.app import application
from dlp.web.site import Console
from pdf_makers import drawn, written
from staff import hash_quickly
from test_cases import SECRET, WORK
from test_reviews import NUMBER, OLD, Bureau, pdf_of, people
from web_site import Browser

HOSTILE = "<img src=x onerror=alert(1)>.txt"
OTHER = "310104198512154565"
FILES = {
    "配方.txt": SECRET,
    HOSTILE: WORK,
    "名单.txt": people(60),
    "附件.pdf": pdf_of(NUMBER, OTHER),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as always, with less work for each."""
    hash_quickly(monkeypatch)


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    """Give a site with people whose gate has held some files; it is copied for each test."""
    with pytest.MonkeyPatch.context() as patch:
        hash_quickly(patch)
        made = Bureau.laid(tmp_path_factory.mktemp("web-review"), FILES)
    yield made
    made.close()


@pytest.fixture
def bureau(laid: Bureau, tmp_path: Path) -> Iterator[Bureau]:
    """Give a site of its own to one test."""
    made = laid.copied(tmp_path / "site")
    yield made
    made.close()


class Desk:
    """Browsers of several people at one console, which is closed in the end."""

    def __init__(self, bureau: Bureau) -> None:
        self.bureau = bureau
        self.console = Console(bureau.config, bureau.store)
        self.app = application(self.console)

    def as_(self, account: str, language: str = "zh") -> Browser:
        """Return somebody's browser."""
        return Browser(self.bureau, account, language=language, app=self.app)


@pytest.fixture
def desk(bureau: Bureau) -> Iterator[Desk]:
    """Give the console of the site."""
    made = Desk(bureau)
    yield made
    if made.console._sandbox is not None:
        made.console._sandbox.close()


def denied(bureau: Bureau, operation: str) -> bool:
    """Tell whether a refusal of an operation is in the trail."""
    return any(e.kind == "denied" and e.body.get("operation") == operation for e in bureau.store.events())


# the queue


def test_the_queue_shows_what_waits(desk: Desk) -> None:
    """Every held file is in it, the one that waits longest first; a hostile name is text."""
    text = desk.as_("rev").page("/review")
    assert "配方.txt" in text
    assert escape(HOSTILE) in text
    assert "<img src=x" not in text
    assert "共 4 个" in text
    english = desk.as_("rev", "en").page("/review")
    assert "4 in all" in english
    assert "longest waiting first" in english


def test_the_queue_is_narrowed(desk: Desk, bureau: Bureau) -> None:
    """Name, level, rule, regime, counter, age and claim each narrow it; a word that is none is left out."""
    rev, job = desk.as_("rev"), bureau.held("附件.pdf")
    rule = next(one.rule for one in job.findings if one.type == "cn_resident_id")

    def names(query: str) -> set[str]:
        return set(re.findall(r'<a href="/review/\w{26}">([^<]+)</a>', rev.page(f"/review?{query}")))

    assert names("name=附件") == {"附件.pdf"}
    assert names(f"rule={rule}") == {"附件.pdf", "名单.txt"}
    assert names("rule=no/such") == set()
    assert "附件.pdf" in names("regime=work")
    assert "配方.txt" not in names("regime=personal")
    assert names("source=folder:没有") == set()
    assert len(names("source=folder:外发")) == 4
    assert names("days=1") == set()
    assert len(names("days=x&group=y&order=z&level=w")) == 4
    rev.post(f"/review/{job.id}/claim")
    assert names("by=mine") == names("by=claimed") == {"附件.pdf"}
    assert len(names("by=free")) == 3
    assert names("kept=1") == set()
    rev.post(f"/review/{job.id}/hold", reason="诉讼")
    assert names("kept=1") == {"附件.pdf"}
    assert names("kept=1&by=mine") == {"附件.pdf"}


@pytest.mark.parametrize("order", ["oldest", "newest", "level"])
def test_pages_of_the_queue_follow_each_other(
    desk: Desk, bureau: Bureau, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """Each job is on one page and on no other, in the order that was asked for."""
    monkeypatch.setattr("dlp.web.pages.review.ROWS", 2)
    rev, at, seen = desk.as_("rev"), f"/review?order={order}", []
    while at:
        text = rev.page(at)
        seen += re.findall(r'<a href="/review/(\w{26})">', text)
        more = re.search(r'<a class="button" href="(/review\?[^"]+)"', text)
        at = more[1].replace("&amp;", "&") if more else ""
    jobs = [bureau.store.get(one) for one in seen]
    assert len(set(seen)) == len(seen) == 4
    if order == "level":
        levels = [job.verdict.level for job in jobs if job.verdict and job.verdict.level]
        assert levels == sorted(levels, reverse=True)
    else:
        assert seen == sorted(seen, reverse=order == "newest")


def test_several_at_once_have_a_line_each(desk: Desk, bureau: Bureau) -> None:
    """What was not done says why; the rest is done."""
    mine, theirs = bureau.held("名单.txt"), bureau.held("附件.pdf")
    bureau.desk("rev2").reviews.claim(theirs.id)
    rev = desk.as_("rev")
    answer = rev.post("/review/bulk", what="reject", reason="重复送检", job=[mine.id, theirs.id, "01NOTHING"])
    assert answer.status_code == 200
    assert "1 件办妥，2 件未办" in answer.text
    assert "已由 rev2 领取" in answer.text
    assert bureau.store.get(mine.id).state is State.REJECTED
    assert bureau.store.get(theirs.id).state is State.HELD
    assert rev.post("/review/bulk", what="reject", reason="x").status_code == 400
    assert "必须写明理由" in rev.post("/review/bulk", what="reject", job=bureau.held().id).text


# who may


def test_who_may_not_is_refused_and_noted(desk: Desk, bureau: Bureau) -> None:
    """An operator sees no queue and no page; an approver labels nothing; each refusal is in the trail."""
    job = bureau.held("附件.pdf")
    op, head = desk.as_("op"), desk.as_("head")
    assert op.get("/review").status_code == 403
    assert op.get(f"/review/{job.id}").status_code == 403
    assert op.get(f"/review/{job.id}/page/1").status_code == 403
    assert denied(bureau, "evidence.view")
    assert head.get("/review").status_code == 200
    assert head.post(f"/review/{job.id}/label", ruling="confirmed", finding="1").status_code == 403
    assert denied(bureau, "review.label")
    assert head.post(f"/review/{job.id}/redact/add", words="编号", reason="x").status_code == 403
    assert head.post(f"/review/{job.id}/redact/try").status_code == 403
    assert denied(bureau, "review.redact")
    assert desk.as_("rev").get("/review/terms").status_code == 403
    assert "驳回" in head.page(f"/review/{job.id}")
    assert 'data-key="y"' not in head.page(f"/review/{job.id}")


def test_a_change_from_elsewhere_is_refused(desk: Desk, bureau: Bureau) -> None:
    """Without the word of the session nothing is done."""
    job = bureau.held("附件.pdf")
    for path in ("claim", "comment", "label", "hold", "reject", "return", "redact/add", "redact/try", "redact/release"):
        answer = desk.as_("rev").post(f"/review/{job.id}/{path}", csrf="0" * 64, reason="x", text="x")
        assert answer.status_code == 403, path
    assert bureau.store.get(job.id).version == job.version


# evidence


def test_a_page_is_drawn_and_each_look_is_recorded(desk: Desk, bureau: Bureau) -> None:
    """The picture has its hits boxed over it; it is drawn once, and seen as often as somebody looks."""
    job, rev = bureau.held("附件.pdf"), desk.as_("rev")
    first = rev.get(f"/review/{job.id}/page/2", headers={"hx-request": "true"})
    assert first.status_code == 200, first.text
    assert "data:image/png;base64," in first.text
    assert first.text.count("data-box=") == 2
    assert NUMBER not in first.text
    assert len(desk.console.pages) == 1
    rev.get(f"/review/{job.id}/page/2")
    desk.as_("lead").get(f"/review/{job.id}/page/2")
    seen = [(e.actor, e.body["page"]) for e in bureau.store.events() if e.kind == "seen" and e.body.get("page")]
    assert seen == [("rev", 2), ("rev", 2), ("lead", 2)]
    assert len(desk.console.pages) == 1
    assert rev.get(f"/review/{job.id}/page/99").status_code == 403


def test_pages_in_memory_are_bounded() -> None:
    """The ones that nobody asked for lately go: by number, and by size."""

    def drawn(size: int) -> evidence.Drawn:
        return evidence.Drawn(Picture(width=1, height=1, raw=b""), bytes(size))

    cache = evidence.Cache(most=2, bytes_=100)
    for page in (1, 2, 3):
        cache.put(("a", 1, page, ""), drawn(10))
    assert cache.get(("a", 1, 1, "")) is None
    assert cache.get(("a", 1, 3, "")) is not None
    cache.put(("b", 1, 1, ""), drawn(95))
    assert len(cache) == 1
    cache.put(("b", 1, 2, ""), drawn(200))
    assert len(cache) == 0


def test_a_job_shows_why_and_nothing_raw(desk: Desk, bureau: Bureau) -> None:
    """Masked values, why each rule fired, what others did; in both languages."""
    job = bureau.held("附件.pdf")
    bureau.desk("rev2").reviews.comment(job.id, f"看过 {NUMBER}")
    text = desk.as_("rev").page(f"/review/{job.id}?hit=2")
    assert NUMBER not in text
    assert OTHER not in text
    assert job.findings[1].masked in text
    assert "为何命中" in text
    assert "rev2" in text
    assert "看过" in text
    assert "False alarm" in desk.as_("rev", "en").page(f"/review/{job.id}")
    hostile = desk.as_("rev").page(f"/review/{bureau.held(HOSTILE).id}")
    assert escape(HOSTILE) in hostile
    assert "<img src=x" not in hostile


# what a reviewer says


def test_labels_of_hits_and_rules(desk: Desk, bureau: Bureau) -> None:
    """One hit, every hit of a rule, and what a rule missed."""
    job, rev = bureau.held("附件.pdf"), desk.as_("rev")
    rule = next(one.rule for one in job.findings if one.type != "classification_mark")
    numbers = [n for n, one in enumerate(job.findings, 1) if one.rule == rule]
    assert rev.post(f"/review/{job.id}/label", ruling="confirmed", finding=str(numbers[0])).status_code == 303
    assert rev.post(f"/review/{job.id}/label", ruling="false-alarm", finding="1").status_code == 400
    assert rev.post(f"/review/{job.id}/label", ruling="false-alarm", rule=rule, reason="样例").status_code == 303
    assert rev.post(f"/review/{job.id}/missed", rule=rule, page="1", reason="漏了一处").status_code == 303
    labels = bureau.store.records(LABELS)
    assert sum(one.ruling is Ruling.FALSE_ALARM for one in labels) == len(numbers)
    assert [one.reason for one in labels if one.ruling is Ruling.MISSED] == ["第 1 页：漏了一处"]
    assert rule in rev.page(f"/review/{job.id}/missed")


def test_two_at_one_job_are_told(desk: Desk, bureau: Bureau) -> None:
    """Whoever comes second is told who has it, and until when."""
    job = bureau.held("附件.pdf")
    assert desk.as_("rev2").post(f"/review/{job.id}/claim").status_code == 303
    answer = desk.as_("rev").post(f"/review/{job.id}/claim")
    assert answer.status_code == 409
    assert "已由 rev2 领取" in answer.text
    assert "已由 rev2 领取" in desk.as_("rev").page(f"/review/{job.id}")
    assert desk.as_("rev").post(f"/review/{job.id}/redact/add", page="1", words="编号", reason="x").status_code == 409
    assert desk.as_("rev2").post(f"/review/{job.id}/claim", to="free").status_code == 303


def test_kept_rejected_and_given_back(desk: Desk, bureau: Bureau) -> None:
    """A legal hold stops the return; its lifting waits for a second person; then it is given back."""
    job, rev = bureau.held("名单.txt"), desk.as_("rev")
    folder = bureau.config.folders[0].back
    assert rev.post(f"/review/{job.id}/hold", reason="诉讼").status_code == 303
    answer = rev.post(f"/review/{job.id}/return", folder="/elsewhere", reason="重做")
    assert answer.status_code == 403
    assert "依法留存" in answer.text
    assert desk.as_("secr").post(f"/review/{job.id}/hold", to="lift", reason="结案").status_code == 303
    (waiting,) = bureau.desk("rev").seconds.waiting()
    bureau.desk("rev").seconds.confirm(waiting.id)
    assert rev.post(f"/review/{job.id}/reject", reason="不外发").status_code == 303
    assert rev.post(f"/review/{job.id}/return", folder="/elsewhere", reason="重做").status_code == 303
    assert bureau.store.get(job.id).state is State.RETURNED
    assert [path.stat().st_mode & 0o077 for path in folder.iterdir() if job.id in path.name] == [0]
    assert rev.post(f"/review/{bureau.held().id}/keep", until="2099-01-01").status_code == 303
    assert rev.post(f"/review/{bureau.held().id}/keep", until="kein Tag").status_code == 400


def test_the_level_is_decided_by_its_officer(desk: Desk, bureau: Bureau) -> None:
    """Nobody else, and never below the mark."""
    job = bureau.held("配方.txt")
    words = {"level": "秘密", "regime": "commercial", "basis": "清单第三项", "reason": "核过"}
    assert desk.as_("rev").post(f"/review/{job.id}/level", **words).status_code == 403
    assert desk.as_("cls").post(f"/review/{job.id}/level", **{**words, "level": "x"}).status_code == 400
    answer = desk.as_("cls").post(f"/review/{job.id}/level", **words)
    assert answer.status_code in (303, 403), answer.text
    assert "定密审核" in desk.as_("cls").page(f"/review/{job.id}")


MARK = Finding(
    rule="cn.marks/classification",
    pack="cn.marks",
    type="classification_mark",
    category="marks",
    masked="秘密★5年",
    level=Level.SECRET,
    regime=Regime.STATE,
    confidence=0.6,
    digest="ab" * 32,
    mark=Mark(level=Level.SECRET, regime=Regime.STATE, term="5年", until="2008-05-01"),
)


def sealed(bureau: Bureau, name: str, body: bytes, *found: Finding, media: str = "text/plain") -> Job:
    """Hold a file as the gate would have, had it found this in it."""
    id_, sha256 = new_id(time.time()), hashlib.sha256(body).hexdigest()
    item = Item(
        id=id_, source="folder:外发", path=name, name=name, media=media, size=len(body), sha256=sha256, owner="一号窗口"
    )
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        open_vault(bureau.config).take(file.fileno(), id_, keep=0)
    level, regime = found[0].level, found[0].regime
    verdict = Verdict(action=Action.QUARANTINE, level=level, regime=regime)
    job = Job(id=id_, item=item, state=State.HELD, verdict=verdict, findings=found, created=time.time())
    return bureau.store.add(job, actor="gate", kind="held", body={})


def test_terms_that_are_over_wait_for_a_word(desk: Desk, bureau: Bureau) -> None:
    """The classification officer confirms with a basis; then the list is empty."""
    job, officer = sealed(bureau, "旧文.txt", OLD, MARK), desk.as_("cls")
    assert "旧文.txt" in officer.page("/review/terms")
    assert officer.post(f"/review/terms/{job.id}", ruling="ended", basis="").status_code >= 400
    assert officer.post(f"/review/terms/{job.id}", ruling="ended", basis="原定密机关电话核实").status_code == 303
    assert "旧文.txt" not in officer.page("/review/terms")


# redaction


def released(bureau: Bureau) -> list[bytes]:
    """Return what has left."""
    return [path.read_bytes() for path in bureau.site.released.rglob("*") if path.is_file()]


def redactable(bureau: Bureau) -> Job:
    """Return a job whose copy can be proven clean."""
    return bureau.held("名单.txt")


def test_a_copy_is_seen_before_it_leaves(desk: Desk, bureau: Bureau) -> None:
    """Nothing leaves without a preview; the preview is in memory alone; the certificate tells what was done."""
    job, rev = redactable(bureau), desk.as_("rev")
    assert rev.post(f"/review/{job.id}/redact/release", reason="先放").status_code == 409
    before = {path for path in bureau.site.root.rglob("*") if path.is_file()}
    assert rev.post(f"/review/{job.id}/redact/try").status_code == 303
    new = {path.name for path in bureau.site.root.rglob("*") if path.is_file()} - {path.name for path in before}
    assert not [name for name in new if not name.endswith(("-wal", "-shm", ".cache", ".db"))], new
    assert released(bureau) == []
    text = rev.page(f"/review/{job.id}/redact")
    assert "预览已通过验证，尚未放行" in text
    assert "另一读取程序复检" in text
    assert rev.post(f"/review/{job.id}/redact/release", reason="只需名次").status_code == 303
    assert bureau.store.get(job.id).state is State.REDACTED
    assert len(released(bureau)) == 1
    assert desk.console.drafts.get(job.id, "rev").tried is None
    assert "脱敏处理证明" in rev.page(f"/review/{job.id}")


def test_words_added_and_hits_left_in_by_hand(desk: Desk, bureau: Bureau) -> None:
    """Added words are gone from the copy, a hit that was left in is there, and the trail has reasons and no value."""
    job, rev = redactable(bureau), desk.as_("rev")
    raw = people(60).decode()
    first, second = re.findall(r"证件号码：(\w{18})", raw)[:2]
    assert rev.post(f"/review/{job.id}/redact/add", page="0", words="报名情况", reason="活动名称").status_code == 303
    assert rev.post(f"/review/{job.id}/redact/drop", finding="1", reason="").status_code == 400
    assert rev.post(f"/review/{job.id}/redact/drop", finding="1", reason="本人同意公开").status_code == 303
    assert rev.post(f"/review/{job.id}/redact/drop", finding="999", reason="x").status_code == 404
    page = rev.page(f"/review/{job.id}/redact")
    assert "活动名称" in page
    assert "报名情况" not in page
    assert rev.post(f"/review/{job.id}/redact/try").status_code == 303
    done = rev.post(f"/review/{job.id}/redact/release", reason="对外")
    assert done.status_code == 303, done.text
    (copy,) = released(bureau)
    assert "报名情况" not in copy.decode()
    assert first in copy.decode()
    assert second not in copy.decode()
    event = next(e for e in bureau.store.events() if e.kind == "releasing" and e.job == job.id)
    assert [one["reason"] for one in event.body["by_hand"]["dropped"]] == ["本人同意公开"]
    assert [one["reason"] for one in event.body["by_hand"]["added"]] == ["活动名称"]
    told = " ".join(str(e.body) for e in bureau.store.events() if e.job == job.id)
    assert "报名情况" not in told
    assert first not in told
    certificate = bureau.desk("rev").certificate(job.id)
    assert "人工补充" in {one.name for one in certificate.removed}
    assert [one.state for one in certificate.checks if one.name == "kept-by-hand"] == ["unavailable"]
    assert "报名情况".encode() not in b"".join(p.read_bytes() for p in bureau.site.state.rglob("*") if p.is_file())


def test_a_changed_mind_makes_the_preview_void(desk: Desk, bureau: Bureau) -> None:
    """After another change by hand the old preview releases nothing; a change can be taken back."""
    job, rev = redactable(bureau), desk.as_("rev")
    assert rev.post(f"/review/{job.id}/redact/try").status_code == 303
    assert rev.post(f"/review/{job.id}/redact/add", page="0", words="报名", reason="名称").status_code == 303
    answer = rev.post(f"/review/{job.id}/redact/release", reason="对外")
    assert answer.status_code == 409
    assert released(bureau) == []
    assert rev.post(f"/review/{job.id}/redact/undo", what="added", number="1").status_code == 303
    assert desk.console.drafts.get(job.id, "rev").edits.added == ()
    rev.post(f"/review/{job.id}/redact/add", page="0", words="文中没有的话", reason="x")
    answer = rev.post(f"/review/{job.id}/redact/try")
    assert answer.status_code == 403
    assert "没有人工补充的内容" in answer.text


def test_the_mark_of_a_state_secret_is_never_left_out(bureau: Bureau, desk: Desk) -> None:
    """Whoever tries is refused with the article, and it is noted."""
    job = sealed(bureau, "旧文.txt", OLD, MARK)
    answer = desk.as_("rev").post(f"/review/{job.id}/redact/drop", finding="1", reason="不是")
    assert answer.status_code == 403
    assert "国家秘密标志" in answer.text
    assert "第二十二条" in answer.text
    assert denied(bureau, "review.redact")
    assert desk.console.drafts.get(job.id, "rev").edits.dropped == ()


@pytest.mark.timeout(900)
def test_a_preview_is_compared_page_by_page(desk: Desk, bureau: Bureau) -> None:
    """Before and after stand over each other; a rectangle that was drawn is black in the copy."""
    body = drawn(written(f"编号 {NUMBER}", y=700))
    found = Finding(rule="cn.identity/resident_id", pack="cn.identity", type="cn_resident_id", category="identity")
    job, rev = sealed(bureau, "一页.pdf", body, found, media="application/pdf"), desk.as_("rev")
    sides = {"x0": "60", "y0": "400", "x1": "300", "y1": "460"}
    assert rev.post(f"/review/{job.id}/redact/add", page="1", reason="印章", **sides).status_code == 303
    assert rev.post(f"/review/{job.id}/redact/add", page="1", reason="印章", x0="5").status_code == 400
    answer = rev.post(f"/review/{job.id}/redact/try")
    assert answer.status_code == 303, answer.text
    text = rev.get(f"/review/{job.id}/redact/page/1", headers={"hx-request": "true"}).text
    pictures = re.findall(r'href="data:image/png;base64,([^"]+)"', text)
    assert len(set(pictures)) == 2
    assert "data-slide" in text
    with Image.open(io.BytesIO(base64.b64decode(pictures[1]))) as after:
        scale = after.width / 595
        assert after.convert("L").getpixel((round(290 * scale), round(450 * scale))) < 60
