"""The interface for programs, version 1: what the service does, as JSON, for whoever holds a token.

A program shows its token in the header `Authorization: Bearer …`; no cookie counts here, so that no page of another
site can act. What is answered is what the commands print with `--json`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from dlp.web.api import audit, cases, jobs, own, registers
from dlp.web.api.caller import Refusal, Unknown

__all__ = ["REFUSALS", "ROUTERS", "V1", "VERSION", "Unknown"]

V1 = "/api/v1"
VERSION = "1"
"""Of the interface: it changes when a program that was right would be wrong."""
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": words}
    for status, words in (
        (400, "It cannot be done as it was asked for."),
        (401, "No token, or one that is known no more."),
        (403, "Whom the token acts for may not do this, or the token does not reach so far."),
        (404, "There is no such thing."),
        (409, "Somebody else has it, or it has changed meanwhile."),
        (422, "A word of the request is wrong."),
        (500, "It was not done."),
        (503, "The books cannot be read now."),
    )
}
ROUTERS: tuple[APIRouter, ...] = (own.router, jobs.router, cases.router, registers.router, audit.router)
