"""Whether two addresses are the same printer, told by everything in them that names one."""

from __future__ import annotations

import ipaddress
import re
import socket
from contextlib import suppress
from urllib.parse import unquote, urlsplit

_NETWORK = frozenset({"ipp", "ipps", "http", "https", "socket", "lpd", "smb"})
_PORTS = {"ipp": 631, "ipps": 631, "http": 80, "https": 443, "socket": 9100, "lpd": 515, "smb": 445}
_INNER = re.compile(r"(?:ipps?|https?|socket|lpd|smb)://\S+")
_NAMED = re.compile(r"[?&;](serial|uuid|ip|hostname)=([^&;]+)", re.IGNORECASE)


def marks(uri: str) -> frozenset[str]:
    """Return what names a printer in the address of a queue: hosts, serial numbers, the address itself."""
    found = {f"address {unquote(uri).split('?waitjob', 1)[0].rstrip('/').lower()}"}
    for name, value in _NAMED.findall(uri):
        kind = name.lower()
        if kind in ("ip", "hostname"):
            found |= _hosts(unquote(value), 0)
        else:
            found.add(f"{kind} {unquote(value).lower().removeprefix('urn:uuid:')}")
    inner = _INNER.search(uri)  # a wrapper such as beh:/1/3/5/socket://host
    if inner and (where := reached(inner[0])):
        found |= _hosts(*where)
    return frozenset(found)


def reached(uri: str) -> tuple[str, int] | None:
    """Return the host and port that an address leads to over the network; None for anything else."""
    with suppress(ValueError):
        parts = urlsplit(uri)
        if parts.scheme in _NETWORK and parts.hostname:
            return parts.hostname, parts.port or _PORTS[parts.scheme]
    return None


def _hosts(name: str, port: int) -> set[str]:
    """Return the addresses of a host. On this machine itself many things listen, so there the port belongs to it."""
    addresses = {name}
    with suppress(OSError, UnicodeError):
        addresses |= {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    here = any(_is_loopback(address) for address in addresses)
    return {f"here {port}"} if here else {f"host {address}" for address in addresses}


def _is_loopback(address: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(address.split("%", maxsplit=1)[0]).is_loopback
    return False
