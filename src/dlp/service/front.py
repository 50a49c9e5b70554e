"""What the gate says of a printer and of jobs, in the printer's place. Pure.

A queue must see the real printer, so that trays, sides and paper are the ones that it has; but it must send PDF, and it
must send it here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from dlp import ipp
from dlp.ipp import Attribute, Group, JobState, Op, Tag
from dlp.model import State
from dlp.sources.printer import PDF, STREAM

STATES: dict[State, JobState] = {
    **dict.fromkeys((State.TAKING, State.STORED, State.DECIDED, State.RELEASING), JobState.PROCESSING),
    **dict.fromkeys((State.RELEASED, State.REDACTED), JobState.COMPLETED),
    State.HELD: JobState.HELD,
    **dict.fromkeys((State.BLOCKED, State.REJECTED, State.RETURNED, State.REFUSED, State.FAILED), JobState.ABORTED),
    State.CANCELLED: JobState.CANCELED,
}
"""Where a job is on its way -> what a print queue calls it."""

OPERATIONS = (
    Op.PRINT_JOB,
    Op.VALIDATE_JOB,
    Op.CREATE_JOB,
    Op.SEND_DOCUMENT,
    Op.CANCEL_JOB,
    Op.GET_JOB_ATTRIBUTES,
    Op.GET_JOBS,
    Op.GET_PRINTER_ATTRIBUTES,
    Op.CLOSE_JOB,
)
_OURS = (
    *("charset-configured", "charset-supported", "compression-supported", "document-format-default"),
    *("document-format-preferred", "document-format-supported", "generated-natural-language-supported"),
    *("ipp-versions-supported", "multiple-document-jobs-supported", "multiple-operation-time-out"),
    *("natural-language-configured", "operations-supported", "printer-is-accepting-jobs", "printer-name"),
    *("printer-state", "printer-uri-supported", "printer-uuid", "queued-job-count", "uri-authentication-supported"),
    "uri-security-supported",
)
_DROPPED = frozenset(
    {
        *_OURS,
        # addresses at which a client could go past the gate
        *("printer-more-info", "printer-icons", "printer-supply-info-uri", "printer-more-info-manufacturer"),
        *("printer-xri-supported", "device-uri", "printer-dns-sd-name", "printer-device-id", "member-uris"),
        # formats that hold pixels only, which a queue would prefer
        *("urf-supported", "pwg-raster-document-resolution-supported", "pwg-raster-document-sheet-back"),
        *("pwg-raster-document-type-supported", "pclm-raster-back-side", "pclm-strip-height-preferred"),
        *("pclm-compression-method-preferred", "pclm-source-resolution-supported", "jpeg-k-octets-supported"),
    }
)
_WHOLE = frozenset({"all", "printer-description", "job-template", "job-description", "media-col-database"})
"""Words that ask for whole groups of attributes."""


def printer(real: Group | None, uri: str, name: str, requested: tuple[str, ...], queued: int) -> Group:
    """Return what the gate says of one printer; `real` is what the printer last said of itself."""
    kept = real.attributes if real is not None else _PLAIN
    ours = (
        ipp.texts("printer-uri-supported", Tag.URI, uri),
        ipp.texts("uri-security-supported", Tag.KEYWORD, "none"),
        ipp.texts("uri-authentication-supported", Tag.KEYWORD, "requesting-user-name"),
        ipp.texts("printer-name", Tag.NAME, name),
        ipp.texts("printer-uuid", Tag.URI, uuid.uuid5(uuid.NAMESPACE_URL, uri).urn),
        ipp.integers("printer-state", 3, tag=Tag.ENUM),
        ipp.flag("printer-is-accepting-jobs", value=True),
        ipp.integers("queued-job-count", queued),
        ipp.texts("ipp-versions-supported", Tag.KEYWORD, "1.1", "2.0"),
        ipp.integers("operations-supported", *OPERATIONS, tag=Tag.ENUM),
        ipp.texts("charset-configured", Tag.CHARSET, "utf-8"),
        ipp.texts("charset-supported", Tag.CHARSET, "utf-8", "us-ascii"),
        ipp.texts("natural-language-configured", Tag.LANGUAGE, "en"),
        ipp.texts("generated-natural-language-supported", Tag.LANGUAGE, "en"),
        ipp.texts("document-format-default", Tag.MEDIA_TYPE, PDF),
        ipp.texts("document-format-preferred", Tag.MEDIA_TYPE, PDF),
        ipp.texts("document-format-supported", Tag.MEDIA_TYPE, PDF, STREAM),
        ipp.texts("compression-supported", Tag.KEYWORD, "none"),
        ipp.flag("multiple-document-jobs-supported", value=False),
        ipp.integers("multiple-operation-time-out", 60),
    )
    return Group(Tag.PRINTER, _asked((*ours, *ipp.without(kept, _DROPPED)), requested))


def job(number: int, uri: str, state: JobState, said: str, requested: tuple[str, ...] = ()) -> Group:
    """Return what the gate says of one job."""
    reasons = {
        JobState.HELD: "job-hold-until-specified",
        JobState.ABORTED: "aborted-by-system",
        JobState.CANCELED: "job-canceled-by-user",
        JobState.COMPLETED: "job-completed-successfully",
        JobState.PENDING: "job-incoming",
    }
    attributes = (
        ipp.texts("job-uri", Tag.URI, f"{uri}/{number}"),
        ipp.integers("job-id", number),
        ipp.integers("job-state", state, tag=Tag.ENUM),
        ipp.texts("job-state-reasons", Tag.KEYWORD, reasons.get(state, "none")),
        ipp.texts("job-printer-uri", Tag.URI, uri),
        *((ipp.texts("job-state-message", Tag.TEXT, said),) if said else ()),
    )
    return Group(Tag.JOB, _asked(attributes, requested))


def _asked(attributes: Iterable[Attribute], requested: tuple[str, ...]) -> tuple[Attribute, ...]:
    if not requested or _WHOLE.intersection(requested):
        return tuple(attributes)
    return tuple(one for one in attributes if one.name in requested)


_PLAIN = (
    ipp.texts("printer-make-and-model", Tag.TEXT, "wenyin-gate"),
    ipp.texts("media-supported", Tag.KEYWORD, "iso_a4_210x297mm", "iso_a3_297x420mm"),
    ipp.texts("media-default", Tag.KEYWORD, "iso_a4_210x297mm"),
    ipp.texts("media-ready", Tag.KEYWORD, "iso_a4_210x297mm"),
    ipp.texts("sides-supported", Tag.KEYWORD, "one-sided", "two-sided-long-edge", "two-sided-short-edge"),
    ipp.texts("sides-default", Tag.KEYWORD, "one-sided"),
    ipp.flag("color-supported", value=True),
    ipp.texts("print-color-mode-supported", Tag.KEYWORD, "auto", "color", "monochrome"),
    ipp.texts("print-color-mode-default", Tag.KEYWORD, "auto"),
    Attribute("copies-supported", (ipp.Value(Tag.RANGE, (1).to_bytes(4, "big") + (999).to_bytes(4, "big")),)),
    ipp.integers("copies-default", 1),
)
"""Of a printer that has not answered yet: jobs are taken all the same, and wait."""
