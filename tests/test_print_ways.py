"""Addresses of one printer are known to be one; drivers are changed in one line and nothing else."""

from __future__ import annotations

import pytest

from dlp.service.printing import driver, same

PPD = b"""*PPD-Adobe: "4.3"
*FormatVersion: "4.3"
*LanguageEncoding: ISOLatin1
*Manufacturer: "Caf\xe9"
*cupsFilter2: "application/vnd.cups-pdf application/pdf 10 -"
*OpenUI *PageSize: PickOne
*DefaultPageSize: A4
*PageSize A4/A4: ""
*PageSize A3/A3: ""
*CloseUI: *PageSize
*DefaultDuplex: None
*Duplex None/Off: ""
*Duplex DuplexNoTumble/Long: ""
"""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ipp://192.0.2.7/ipp/print", "socket://192.0.2.7:9100"),
        ("ipp://192.0.2.7:631/ipp/print", "lpd://192.0.2.7/queue"),
        ("ipp://192.0.2.7/ipp/print", "hp:/net/LaserJet?ip=192.0.2.7"),
        ("ipp://192.0.2.7/ipp/print", "beh:/1/3/5/socket://192.0.2.7:9100"),
        ("usb://HP/LaserJet?serial=AB12", "hp:/usb/LaserJet?serial=AB12"),
        ("dnssd://Office._ipp._tcp.local/?uuid=0a-1b", "dnssd://Office2._ipps._tcp.local/?uuid=0A-1B"),
        ("ipp://localhost:60000/ipp/print", "ipp://127.0.0.1:60000/ipp/print?waitjob=false"),
        ("ipp://[2001:db8::1]/ipp/print", "socket://[2001:db8::1]:9100"),
    ],
)
def test_one_printer(one: str, other: str) -> None:
    """Host, serial number or UUID: each tells that two queues lead to the same paper."""
    assert same.marks(one) & same.marks(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ipp://192.0.2.7/ipp/print", "ipp://192.0.2.8/ipp/print"),
        ("ipp://127.0.0.1:60000/ipp/print", "ipp://127.0.0.1:60001/ipp/print"),
        ("usb://HP/LaserJet?serial=AB12", "usb://HP/LaserJet?serial=AB13"),
        ("socket://[broken", "lpd://[broken"),
        ("hp:/usb/LaserJet?serial=AB12", "hp:/usb/LaserJet?serial=AB13"),
    ],
)
def test_two_printers(one: str, other: str) -> None:
    """What shares nothing but a kind is not the same; on this machine itself the port tells."""
    assert not same.marks(one) & same.marks(other)


def test_where_an_address_leads() -> None:
    """Host and port of what is on a network, with the port of the protocol; nothing for a cable."""
    assert same.reached("ipp://192.0.2.7/ipp/print") == ("192.0.2.7", 631)
    assert same.reached("socket://192.0.2.7") == ("192.0.2.7", 9100)
    assert same.reached("lpd://192.0.2.7:1515/q") == ("192.0.2.7", 1515)
    assert same.reached("usb://HP/LaserJet?serial=1") is None
    assert same.reached("ipp://192.0.2.7:99999999/") is None


def test_one_line_is_added() -> None:
    """A driver gets the line once, behind its first line, and all other bytes stay."""
    assert not driver.is_single(PPD)
    made = driver.with_single(PPD)
    assert driver.is_single(made)
    assert made.replace(b"*cupsSingleFile: true\n", b"") == PPD
    assert made.startswith(b'*PPD-Adobe: "4.3"\n*cupsSingleFile: true\n')
    assert driver.with_single(made) == made


def test_a_line_that_says_no_is_replaced() -> None:
    """A driver that joins files by its own word is changed all the same."""
    made = driver.with_single(PPD + b"*cupsSingleFile: False\n")
    assert driver.is_single(made)
    assert made.count(b"cupsSingleFile") == 1


def test_choices_are_carried() -> None:
    """What people had chosen stays chosen where the new driver knows it, and only there."""
    old = PPD.replace(b"*DefaultPageSize: A4", b"*DefaultPageSize: A3").replace(b"Duplex: None", b"Duplex: Both")
    made = driver.carry(old, PPD)
    assert b"*DefaultPageSize: A3\n" in made
    assert b"*DefaultDuplex: None\n" in made


def test_a_driver_that_sends_pixels_is_known() -> None:
    """PDF and nothing else is what the gate has to be sent."""
    assert driver.sends_pdf(PPD)
    assert not driver.sends_pdf(PPD.replace(b"application/pdf", b"image/urf"))
    assert not driver.sends_pdf(PPD + b'*cupsFilter2: "image/urf image/urf 0 -"\n')
    assert not driver.sends_pdf(b"")
