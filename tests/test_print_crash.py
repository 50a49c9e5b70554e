"""kill -9 at every step of a print job: printed once or held once, never twice, never lost, and the books are whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dlp.model import State
from pdf_makers import drawn, written
from print_stack import PrintStack, until
from shop import GATE, Shop
from test_print_jobs import CLEAN, HELD, NUMBER, PERSONAL, SECRET

JOBS = {State.RELEASED: CLEAN, State.REDACTED: PERSONAL, State.HELD: HELD, State.WITHHELD: SECRET}
TAKEN = ("before taking", "after taking", "before sealed", "after sealed", "before decided", "after decided")
SENT = (
    *(
        "before releasing",
        "after releasing",
        "before CREATE_JOB",
        "after CREATE_JOB",
        "before sending",
        "after sending",
    ),
    *("before SEND_DOCUMENT", "after SEND_DOCUMENT"),
)
STEPS = {
    State.RELEASED: (*TAKEN, *SENT, "before released", "after released", "before answer", "after answer"),
    State.REDACTED: ("after decided", *SENT, "before redacted", "after redacted", "before answer", "after answer"),
    State.HELD: (
        *("after decided", "before held", "after held", "before answer", "after answer"),
        *("before SET_JOB_ATTRIBUTES", "after SET_JOB_ATTRIBUTES", "before CANCEL_JOB", "after CANCEL_JOB"),
    ),
    State.WITHHELD: (
        *("after decided", "before withheld", "after withheld", "before answer", "after answer"),
        *("before SET_JOB_ATTRIBUTES", "after SET_JOB_ATTRIBUTES", "before CANCEL_JOB", "after CANCEL_JOB"),
    ),
}
OFTEN = {(State.RELEASED, "before answer"), (State.RELEASED, "after SEND_DOCUMENT"), (State.HELD, "before held")}


def cases() -> list[object]:
    """Return each end with each step; all but a few take their time."""
    return [
        pytest.param(end, step, marks=() if (end, step) in OFTEN else pytest.mark.long, id=f"{end.value}-{step}")
        for end, steps in STEPS.items()
        for step in steps
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("end", "step"), cases())
def test_killed_at_a_step(tmp_path: Path, stack: PrintStack, end: State, step: str) -> None:
    """The gate dies there and is started again: CUPS and the gate together bring the job to its one right end."""
    shop = Shop(tmp_path, stack)
    deadly: tuple[str, ...] = (str(Path(__file__).with_name("killed.py")), *step.split())
    shop.program = deadly
    with shop:
        number = shop.lp(JOBS[end])
        until(lambda: shop.process is not None and shop.process.poll() is not None, f"killed {step}", 90, shop.told)
        assert shop.process is not None
        assert shop.process.returncode == -9
        shop.program = GATE
        shop.start()
        ends(shop, number, end)


def ends(shop: Shop, number: int, end: State) -> None:
    """Assert that a job came to its one right end, told to whoever sent it."""
    printed = 1 if end in (State.RELEASED, State.REDACTED) else 0
    if printed:
        shop.stack.wait_for(number, "completed", seconds=150)
        shop.printer.wait(1, seconds=150)
        shop.wait(1, end)
    else:
        (job,) = shop.wait(1, end)
        # The backend of CUPS takes a connection that ends before the answer for success.
        cups = shop.stack.wait_for(number, "canceled", "completed", seconds=150)
        assert cups["job-state"] == "completed" or job.id in cups["job-printer-state-message"]
        assert len(shop.receipts()) == 1
    last = shop.lp(drawn(written("the last one")))
    shop.stack.wait_for(last, "completed", seconds=150)
    out = shop.printer.wait(printed + 1, seconds=150)
    assert len(out) == printed + 1
    until(lambda: all(job.state in ENDS for job in shop.jobs()), "every job has ended", log=shop.told)
    ended = [job for job in shop.jobs() if job.state is not State.REFUSED]
    assert [job.state for job in ended] == [end, State.RELEASED]
    if printed:
        assert hashlib.sha256(out[0].body).hexdigest() == ended[0].outgoing
        assert NUMBER.encode() not in out[0].body
    assert {path.stem for path in (shop.site.vault / "q").iterdir()} == ({ended[0].id} - gone(end, ended[0].id))
    shop.site.run("audit", "verify")


def gone(end: State, job: str) -> set[str]:
    """Return what the vault does not keep: what left as it came, and what may not be here."""
    return {job} if end in (State.RELEASED, State.WITHHELD) else set()


ENDS = (*JOBS, State.REFUSED)
