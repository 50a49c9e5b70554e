"""The pages of the console: one file for each part of it."""

from __future__ import annotations

from fastapi import APIRouter

from dlp.web.pages import begin, door, jobs, packs, review, tokens

ROUTERS: tuple[APIRouter, ...] = (
    door.router,
    begin.router,
    jobs.router,
    packs.router,
    tokens.router,
    review.router,
)
