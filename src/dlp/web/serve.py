"""The server of the console: on this machine alone without TLS, bound wider with it."""

from __future__ import annotations

import ipaddress
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dlp import durable
from dlp.config import Config
from dlp.errors import StoreError
from dlp.model import Say
from dlp.web.app import application, hosts
from dlp.web.site import Console

YEARS = 2
HEADER_BYTES = 32 << 10
IDLE_SECONDS = 15
CONNECTIONS = 512


class Server:
    """Serves one console until it is told to stop."""

    def __init__(self, console: Console) -> None:
        config = console.config
        secure = config.console.is_secure
        pair = certificate(config) if secure else None
        self._console = console
        self._socket = _bound(config)
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(console, secure=secure),
                http="h11",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=3,
                limit_concurrency=CONNECTIONS,
                h11_max_incomplete_event_size=HEADER_BYTES,
                ssl_certfile=pair[0] if pair else None,
                ssl_keyfile=pair[1] if pair else None,
            )
        )

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self._socket.getsockname()[1])

    def run(self, stop: threading.Event | None = None) -> None:
        """Serve until SIGTERM, SIGINT, or `stop` is set."""
        if stop is not None:
            threading.Thread(target=self._until, args=(stop,), name="console-stop", daemon=True).start()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._console.close()

    def _until(self, stop: threading.Event) -> None:
        stop.wait()
        self._server.should_exit = True


def certificate(config: Config) -> tuple[Path, Path]:
    """Return certificate and key of the console: those of the site, or a pair that is made here once."""
    spec = config.console
    if spec.certificate and spec.key:
        return spec.certificate, spec.key
    folder = Path(config.store.path).parent
    cert, key = folder / "console.crt", folder / "console.key"
    if not _holds(cert, key):
        _make(config, cert, key)
    return cert, key


def _holds(cert: Path, key: Path) -> bool:
    try:
        until = x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return False
    return key.is_file() and until > datetime.now(UTC) + timedelta(days=7)


def _make(config: Config, cert: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wenyin-gate")])
    now = datetime.now(UTC)
    own = {*hosts(config), socket.gethostname()} - {"0.0.0.0", "::"}  # noqa: S104  compared, not bound
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in sorted(own)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    durable.replace(key, private.private_bytes(serialization.Encoding.PEM, form, bare))
    durable.replace(cert, made.public_bytes(serialization.Encoding.PEM))


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _bound(config: Config) -> socket.socket:
    spec = config.console
    family = socket.AF_INET6 if ":" in spec.listen else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((spec.listen, spec.port))
    except OSError as err:
        made.close()
        raise StoreError(
            Say(
                f"控制台无法监听 {spec.listen}:{spec.port}（{err.strerror}）",
                f"the console cannot listen on {spec.listen}:{spec.port} ({err.strerror})",
            ),
            Say("在 [console] 中改用其他端口", "use another port in [console]"),
        ) from err
    return made
