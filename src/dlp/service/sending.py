"""A notice, sent: by mail (SMTP) or to a webhook. Servers prove who they are; no proxy is used, no redirect taken."""

from __future__ import annotations

import hashlib
import http.client
import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from dlp.config import Config, NoticesSpec
from dlp.errors import DlpError
from dlp.model import Say
from dlp.notice import KINDS, MAIL, Notice, words

NAME = "wenyin-gate"


class NotSentError(DlpError):
    """A notice was not taken; it stays in the queue."""

    exit = 5


Send = Callable[[Notice], None]


def channels(config: Config) -> dict[str, Send]:
    """Return how notices leave, by channel; empty: nothing leaves this machine."""
    spec = config.notices
    found: dict[str, Send] = {}
    if spec.host:
        found[MAIL] = lambda notice: _mail(config, notice)
    for url in spec.webhooks:
        found[channel_of(url)] = lambda notice, url=url: _post(config, url, notice)  # type: ignore[misc]
    return found


def channel_of(url: str) -> str:
    """Return the name of a webhook: an address may hold a secret, its name does not."""
    return f"webhook-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _mail(config: Config, notice: Notice) -> None:
    spec = config.notices
    mail = EmailMessage()
    mail["From"], mail["To"] = spec.from_, ", ".join(spec.to)
    mail["Subject"] = f"[文印闸] {KINDS[notice.kind].to(config.site.language)} {notice.job}".strip()
    mail["Message-ID"] = f"<{hashlib.sha256(notice.id.encode()).hexdigest()[:32]}@{NAME}>"
    mail["Auto-Submitted"] = "auto-generated"
    rows = words(notice, config.site.unit, _moment(notice.at), config.site.language)
    mail.set_content("".join(f"{name}：{value}\n" for name, value in rows))
    try:
        with _connected(spec) as server:
            if spec.user:
                server.login(spec.user, _password(spec))
            refused = server.send_message(mail)
    except smtplib.SMTPResponseException as err:
        raise _unsent(MAIL, f"{type(err).__name__} {err.smtp_code}") from err
    except (smtplib.SMTPException, OSError, UnicodeError) as err:
        raise _unsent(MAIL, _why(err)) from err
    if refused:
        raise _unsent(MAIL, f"{len(refused)} recipients refused")


def _connected(spec: NoticesSpec) -> smtplib.SMTP:
    if spec.tls == "tls":
        return smtplib.SMTP_SSL(
            spec.host, spec.port, local_hostname=NAME, timeout=spec.timeout_seconds, context=_trust(spec)
        )
    server = smtplib.SMTP(spec.host, spec.port, local_hostname=NAME, timeout=spec.timeout_seconds)
    try:
        if spec.tls == "starttls":
            server.starttls(context=_trust(spec))
    except BaseException:
        server.close()
        raise
    return server


def _password(spec: NoticesSpec) -> str:
    path = Path(spec.password_file or "")
    if path.stat().st_mode & 0o077:
        raise NotSentError(
            Say(f"口令文件权限过宽：{path}", f"others may read the password file {path}"),
            Say(f"chmod 600 {path}", f"chmod 600 {path}"),
        )
    return path.read_text(encoding="utf-8").split("\n", 1)[0]


def _post(config: Config, url: str, notice: Notice) -> None:
    spec, where = config.notices, urlsplit(url)
    body = {
        "id": notice.id,
        "kind": notice.kind,
        "job": notice.job or None,
        "level": notice.level or None,
        "state": notice.state or None,
        "at": _moment(notice.at),
        "unit": config.site.unit,
        "text": "\n".join(
            f"{name}：{value}"
            for name, value in words(notice, config.site.unit, _moment(notice.at), config.site.language)
        ),
    }
    headers = {"Content-Type": "application/json", "User-Agent": NAME, "Idempotency-Key": notice.id}
    name = channel_of(url)
    try:
        connection = (
            http.client.HTTPSConnection(
                where.hostname or "", where.port, timeout=spec.timeout_seconds, context=_trust(spec)
            )
            if where.scheme == "https"
            else http.client.HTTPConnection(where.hostname or "", where.port, timeout=spec.timeout_seconds)
        )
        try:
            target = (where.path or "/") + (f"?{where.query}" if where.query else "")
            connection.request("POST", target, msgspec.json.encode(body), headers)
            status = connection.getresponse().status
        finally:
            connection.close()
    except (http.client.HTTPException, OSError, ValueError) as err:
        raise _unsent(name, _why(err)) from err
    if not 200 <= status < 300:
        raise _unsent(name, f"HTTP {status}")


def _trust(spec: NoticesSpec) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(spec.ca_file) if spec.ca_file else None)


def _why(err: Exception) -> str:
    """Return what went wrong in words of this program: what a server says is not repeated."""
    if isinstance(err, ssl.SSLCertVerificationError):
        return "the certificate of the server is not trusted"
    return getattr(err, "strerror", None) or type(err).__name__


def _unsent(channel: str, why: str) -> NotSentError:
    return NotSentError(
        Say(f"通知未发出（{channel}：{why}），留待重发", f"a notice was not sent ({channel}: {why}); it stays queued"),
        Say("检查 [notices] 配置和网络", "check [notices] and the network"),
    )


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
