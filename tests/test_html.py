"""Pages: everything that somebody wrote is read, shown or not."""

from __future__ import annotations

import pytest

from dlp.formats import Source
from dlp.formats.room import Room
from dlp.formats.room import read as read_as
from dlp.model import Document, Zone

NUMBER = "110101199003071233"


def read(raw: bytes | str) -> Document:
    """Read a page as the child does."""
    return read_as("text/html", Source(raw.encode() if isinstance(raw, str) else raw), Room())


PLACES = {
    "text": "<p>N</p>",
    "split by tags": "<p>1101<b>01199</b>00<i>3071233</i></p>",
    "title": "<title>N</title>",
    "alt text": "<img alt='N'>",
    "tool tip": "<a title='N'>x</a>",
    "form value": "<input value='N'>",
    "link": "<a href='mailto:N'>x</a>",
    "comment": "<!-- N -->",
    "script": "<script>var a = 'N';</script>",
    "style": "<style>.a::after { content: 'N' }</style>",
    "hidden": "<div style='display:none'>N</div>",
    "template": "<template><p>N</p></template>",
    "no script": "<noscript>N</noscript>",
    "meta": "<meta name='description' content='N'>",
    "entities": "<p>" + "".join(f"&#{ord(c)};" for c in NUMBER) + "</p>",
    "data attribute": "<div data-number='N'></div>",
    "option": "<select><option>N</option></select>",
    "text area": "<textarea>N</textarea>",
    "unclosed": "<div><p>N",
}


@pytest.mark.parametrize("name", PLACES)
def test_text_is_found_in_every_place(name: str) -> None:
    """A number is read wherever in the page it lies."""
    page = f"<!DOCTYPE html><html><body>{PLACES[name].replace('N', NUMBER)}</body></html>"
    assert any(NUMBER in segment.text for segment in read(page).segments)


def test_hidden_text_says_so() -> None:
    """What a reader of the page does not see is marked as hidden."""
    document = read(f"<p>shown</p><p style='display:none'>{NUMBER}</p>")
    assert next(s.zone for s in document.segments if NUMBER in s.text) is Zone.HIDDEN
    assert next(s.zone for s in document.segments if "shown" in s.text) is Zone.BODY


def test_tables_become_grids() -> None:
    """Cells are slices, rows are rows."""
    document = read("<table><tr><th>姓名<th>工资<tr><td>张三<td>5200</table>")
    (grid,) = document.tables
    cells = [[document.segments[c.segment].text[c.start : c.end].strip() for c in row] for row in grid.rows]
    assert cells == [["姓名", "工资"], ["张三", "5200"]]


@pytest.mark.parametrize("declared", ["gbk", "gb2312", "utf-8", ""])
def test_a_page_in_gbk_is_read_whatever_it_declares(declared: str) -> None:
    """The bytes decide, not what the page says of itself."""
    page = f"<html><head><meta charset='{declared}'></head><body>关于借用会议场地的答复函，经研究同意借用</body></html>"
    assert any("借用会议场地" in s.text for s in read(page.encode("gb18030")).segments)


def test_deep_nesting_neither_hangs_nor_crashes() -> None:
    """Two hundred thousand open tags give the text or a gap."""
    document = read("<div>" * 200_000 + NUMBER)
    assert document.gaps or any(NUMBER in s.text for s in document.segments)


def test_paragraphs_are_apart() -> None:
    """Two cells or paragraphs never run together into one word."""
    assert not any("密文" in s.text for s in read("<p>机密</p><p>文件</p>").segments)
