"""Reads the QR codes of printed pages, as a scanner does."""

from __future__ import annotations

from typing import Any

import zxingcpp


def codes(pixels: Any) -> list[str]:
    """Return what every QR code in a picture says: an array of grey or colour, any size."""
    return [found.text for found in zxingcpp.read_barcodes(pixels, formats=zxingcpp.BarcodeFormat.QRCode)]
