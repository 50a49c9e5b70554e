"""The pages of the console: one file for each part of it."""

from __future__ import annotations

from fastapi import APIRouter

from dlp.web.pages import begin, cases, door, jobs, packs, tokens

ROUTERS: tuple[APIRouter, ...] = (door.router, begin.router, jobs.router, cases.router, packs.router, tokens.router)
