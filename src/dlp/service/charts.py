"""Native charts in a Word file: a chart part with its workbook, as Office itself writes them.

The XML of a chart is the same in all three kinds of Office files (DrawingML), so the writer of python-pptx serves.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.shared import Cm
from pptx.chart.data import CategoryChartData
from pptx.chart.xmlwriter import ChartXmlWriter
from pptx.enum.chart import XL_CHART_TYPE

BAR, COLUMN = XL_CHART_TYPE.BAR_CLUSTERED, XL_CHART_TYPE.COLUMN_STACKED
_END, _PLOT = "</c:chartSpace>", "</c:plotArea>"
_LEGEND = '<c:legend><c:legendPos val="b"/><c:overlay val="0"/></c:legend>'
_LINK = '<c:externalData r:id="{}"><c:autoUpdate val="0"/></c:externalData>'
_FRAME = """
<w:p xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"
 xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"
 xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"
 xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><w:r><w:drawing>
<wp:inline distT="0" distB="0" distL="0" distR="0"><wp:extent cx="{width}" cy="{height}"/>
<wp:docPr id="{number}" name="{name}"/><wp:cNvGraphicFramePr/><a:graphic>
<a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/chart"><c:chart r:id="{rid}"/></a:graphicData>
</a:graphic></wp:inline></w:drawing></w:r></w:p>
"""


def add(page: Any, kind: XL_CHART_TYPE, names: Sequence[str], series: Mapping[str, Sequence[int]]) -> None:
    """Add a chart at the end of a page: one value of each series for each name."""
    data: Any = CategoryChartData()  # type: ignore[no-untyped-call]
    data.categories = [_printable(name) for name in names]
    for title, values in series.items():
        data.add_series(title, list(values))
    package, main = page.part.package, page.part
    taken = {str(part.partname) for part in package.parts}
    number = next(n for n in itertools.count(1) if f"/word/charts/chart{n}.xml" not in taken)
    book = Part(
        PackURI(f"/word/embeddings/chart{number}.xlsx"),
        CONTENT_TYPE.SML_SHEET,
        data._workbook_writer.xlsx_blob,  # noqa: SLF001  the only way to the workbook that belongs to the chart
        package,
    )
    chart = Part(PackURI(f"/word/charts/chart{number}.xml"), CONTENT_TYPE.DML_CHART, b"", package)
    link = _LINK.format(chart.relate_to(book, RELATIONSHIP_TYPE.PACKAGE))
    xml = ChartXmlWriter(kind, data).xml  # type: ignore[no-untyped-call]
    chart._blob = xml.replace(_PLOT, _PLOT + _LEGEND).replace(_END, link + _END).encode()  # noqa: SLF001  the link is known only now
    frame = _FRAME.format(
        rid=main.relate_to(chart, RELATIONSHIP_TYPE.CHART),
        number=1_000 + number,
        name=f"chart{number}",
        width=Cm(15.5),
        height=Cm(6.5),
    )
    page.element.body.insert_element_before(parse_xml(frame), "w:sectPr")


def _printable(text: str) -> str:
    """Return a name without what XML cannot hold."""
    return "".join(letter for letter in text if letter.isprintable())
