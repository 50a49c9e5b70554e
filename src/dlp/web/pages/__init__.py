"""The pages of the console: one file for each part of it."""

from __future__ import annotations

from fastapi import APIRouter

from dlp.web.pages import (
    audit,
    begin,
    cases,
    destroy,
    door,
    incidents,
    jobs,
    packs,
    people,
    registers,
    reports,
    review,
    system,
    tokens,
    waiting,
    withheld,
)

ROUTERS: tuple[APIRouter, ...] = (
    door.router,
    begin.router,
    jobs.router,
    cases.router,
    review.router,
    packs.router,
    tokens.router,
    waiting.router,
    people.router,
    registers.router,
    audit.router,
    reports.router,
    incidents.router,
    withheld.router,
    destroy.router,
    system.router,
)
