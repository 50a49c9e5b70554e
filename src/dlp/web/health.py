"""Whether the gate answers, and its counts and times as Prometheus reads them. No name, no content."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, PlainTextResponse

from dlp.errors import DlpError
from dlp.incident import INCIDENTS
from dlp.model import State
from dlp.rights import Operation
from dlp.service.desk import Desk
from dlp.service.second import CHANGES, WAITING
from dlp.store.record import RecordFilter
from dlp.web.api.caller import Caller
from dlp.web.visit import Asks

router = APIRouter()
LAST = 500
"""Jobs of which the times are told."""
TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz")
def healthz(about: Asks) -> Response:
    """Tell whether the books can be read: 200, or 503."""
    try:
        about.console.store.head()
    except DlpError:
        return JSONResponse({"ok": False}, 503)
    return JSONResponse({"ok": True})


@router.get("/metrics")
def metrics(caller: Caller) -> Response:
    """Return counts and times; for a token that reaches to the health of the system."""
    caller.acting.may(Operation.HEALTH_READ)
    registry = CollectorRegistry()
    registry.register(_Books(caller))
    return PlainTextResponse(generate_latest(registry), media_type=TYPE)


class _Books(Collector):
    """Reads what is told from the books, once for each time it is asked for."""

    def __init__(self, desk: Desk) -> None:
        self._store = desk.store

    def collect(self) -> Iterator[Metric]:
        """Give each metric."""
        jobs = GaugeMetricFamily("dlp_jobs", "Jobs by state.", labels=("state",))
        for state in State:
            jobs.add_metric((state.value,), self._store.count((state,)))
        yield jobs
        yield GaugeMetricFamily("dlp_audit_events", "Events in the audit trail.", value=self._store.head()[0])
        waiting = self._store.count_records(CHANGES, RecordFilter(states=(WAITING,)))
        yield GaugeMetricFamily("dlp_waiting_changes", "What waits for a second person.", value=waiting)
        yield GaugeMetricFamily("dlp_incidents", "Incidents.", value=self._store.count_records(INCIDENTS))
        times = GaugeMetricFamily("dlp_job_seconds", "From taken to settled, of the last jobs.", labels=("quantile",))
        settled = self._store.jobs((State.RELEASED, State.REDACTED, State.HELD, State.BLOCKED), limit=LAST)
        if len(settled) > 1:
            took = statistics.quantiles((job.updated - job.created for job in settled), n=100, method="inclusive")
            for share, value in (("0.5", took[49]), ("0.95", took[94])):
                times.add_metric((share,), value)
        yield times
