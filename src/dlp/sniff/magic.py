"""First bytes that tell a type. Only what its own standard fixes; weak ones are checked with a second field."""

from __future__ import annotations

import re
import struct

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
    (b"8BPS\0", "image/vnd.adobe.photoshop"),
    (b"\0\0\x01\0", "image/vnd.microsoft.icon"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
    (b"\x97JB2\r\n\x1a\n", "image/x-jbig2"),
    (b"\xd7\xcd\xc6\x9a", "image/wmf"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"{\\rt", "application/rtf"),
    (b"%!PS", "application/postscript"),
    (b"\x04%!PS", "application/postscript"),
    (b"\xc5\xd0\xd3\xc6", "application/postscript"),
    (b"\x1b%-12345X", "application/vnd.hp-pjl"),
    (b"\x1bE", "application/vnd.hp-pcl"),
    (b") HP-PCL XL", "application/vnd.hp-pclxl"),
    (b"UNIRAST\0", "image/urf"),
    (b"RaS2PwgRaster\0", "image/pwg-raster"),
    (b"RaS3", "application/vnd.cups-raster"),
    (b"3SaR", "application/vnd.cups-raster"),
    (b"RaS2", "application/vnd.cups-raster"),
    (b"2SaR", "application/vnd.cups-raster"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\x1f\x9d", "application/x-compress"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\x04\x22\x4d\x18", "application/x-lz4"),
    (b"LZIP", "application/x-lzip"),
    (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (b"!<arch>\n", "application/x-archive"),
    (b"070701", "application/x-cpio"),
    (b"070707", "application/x-cpio"),
    (b"ITSF\x03\0", "application/vnd.ms-htmlhelp"),
    (b"\x7fELF", "application/x-elf"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"OggS\0", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x78\x9f\x3e\x22", "application/vnd.ms-tnef"),
)
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"avif": "image/avif",
    b"avis": "image/avif",
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BITMAP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # bytes; "BM" alone begins many a text


def by_start(head: bytes) -> str | None:
    """Return the media type that the first bytes fix, or None."""
    for start, media in _STARTS:
        if head.startswith(start):
            return media
    if head[4:8] == b"ftyp" and len(head) >= 12:
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[257:262] == b"ustar":
        return "application/x-tar"
    if head[0x8001:0x8006] == b"CD001":
        return "application/x-iso9660-image"
    if head[:2] == b"BM" and len(head) >= 26 and struct.unpack_from("<I", head, 14)[0] in _BITMAP_HEADERS:
        return "image/bmp"
    if head[:4] == b"\x01\0\0\0" and head[40:44] == b" EMF":
        return "image/emf"
    if head[:2] == b"MZ" and b"\0" in head[:64]:
        return "application/vnd.microsoft.portable-executable"
    if re.match(rb"[\x21-\x7e]{2}-lh[0-9ds]-", head):
        return "application/x-lzh-compressed"
    return None


_FIELD = re.compile(r"^([!-9;-~]{2,40}):[ \t]?", re.MULTILINE)
_MAIL = frozenset(
    {
        "received",
        "return-path",
        "message-id",
        "mime-version",
        "x-mailer",
        "delivered-to",
        "dkim-signature",
        "content-transfer-encoding",
    }
)
_LETTER = frozenset({"from", "to", "cc", "subject", "date", "reply-to", "sender", "content-type"})


def is_mail(text: str) -> bool:
    """Tell whether a text begins with the header of a message (RFC 5322): known fields up to the first empty line."""
    text = text[:16_384].replace("\r\n", "\n")
    if text.startswith("From ") and "\n" in text:
        text = text[text.index("\n") + 1 :]
    head = text.split("\n\n", 1)[0]
    if not _FIELD.match(head):
        return False
    fields = {name.lower() for name in _FIELD.findall(head)}
    return bool(fields & _MAIL) and len(fields & (_MAIL | _LETTER)) >= 2


def is_card(text: str) -> bool:
    """Tell whether a text is a visiting card or a calendar (RFC 6350, RFC 5545)."""
    return bool(re.match(r"\s*BEGIN:(?:VCARD|VCALENDAR|VNOTE)\s", text, re.IGNORECASE))


_HTML_START = re.compile(
    r"<(?:!doctype\s+html|html|head|body|title|meta|script|style|table|div|p|h[1-6])\b", re.IGNORECASE
)
_HTML_TAG = re.compile(
    r"<(?:!doctype html|/?(?:html|head|body|table|tr|td|div|span|p|br|h[1-6]|a|img|script|style|meta|ul|ol|li|font|b))"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_XML_START = re.compile(r"\s*<\?xml\s")
_ROOT = re.compile(r"<(?![?!])([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s>/]")


def markup(text: str) -> tuple[str, bool]:
    """Return the media type of marked-up text (or an empty one), and whether it is surely that and nothing else."""
    text = text[:65_536].removeprefix("\ufeff")
    if _HTML_START.match(text, _behind_prologue(text)):
        return "text/html", True
    root = _ROOT.search(text)
    name = root[2].lower() if root else ""
    if name == "svg" and (root is None or not text[: root.start()].strip() or _XML_START.match(text)):
        return "image/svg+xml", True
    if _XML_START.match(text):
        return ("text/html" if name == "html" else "application/xml"), True
    # Two tags make it worth a second reading; a tag may be all that hides a word.
    return ("text/html" if len(_HTML_TAG.findall(text)) >= 2 else ""), False


def _behind_prologue(text: str) -> int:
    """Return where the first thing stands that is no blank, comment or processing instruction."""
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        end = "-->" if text.startswith("<!--", at) else "?>" if text.startswith("<?", at) else ""
        close = text.find(end, at) if end else -1
        if close < 0:
            return at
        at = close + len(end)
