# ruff: noqa: E501  XML is clearer unbroken
"""Office files with one number in one of all the places in which text can lie, wired the way Office wires them."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Mapping
from typing import NamedTuple

from PIL import Image, PngImagePlugin

from format_makers import emf_of
from makers import changed, docx_of, package, xlsx_of
from test_docx import BODY, XMLNS, filled, p, part, run
from test_pptx import NS as PNS
from test_pptx import shape
from test_xlsx import NAMED, NUMBER, A, R, S, X, sheet, text

KEPT = "不动的字"
RT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MS = "http://schemas.microsoft.com/office/2007/relationships"
CT = "application/vnd.openxmlformats-officedocument."
C = "http://schemas.openxmlformats.org/drawingml/2006/chart"
D = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
DSP = "http://schemas.microsoft.com/office/drawing/2008/diagram"
MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"
O = "urn:schemas-microsoft-com:office:office"  # noqa: E741  the prefix of that namespace
RELS = "http://schemas.openxmlformats.org/package/2006/relationships"


class Link(NamedTuple):
    """A part and the relationship that leads to it."""

    source: str
    ident: str
    kind: str
    target: str
    content: str | bytes | None = None
    media: str = ""
    """Empty where the part is of no known type of its own: then its ending gives it one."""


def wired(raw: bytes, *links: Link, more: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return a package with more parts, relationships to them and their content types."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        parts: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    types = _text(parts["[Content_Types].xml"])
    for link in links:
        folder, name = posixpath.split(link.source)
        rels = posixpath.join(folder, "_rels", f"{name}.rels")
        kind = link.kind if "://" in link.kind else f"{RT}/{link.kind}"
        external = (
            ' TargetMode="External"' if link.content is None and link.target not in {*parts, *(more or {})} else ""
        )
        target = link.target if external else posixpath.relpath(link.target, folder or ".")
        made = f'<Relationship Id="{link.ident}" Type="{kind}" Target="{target}"{external}/>'
        old = _text(parts.get(rels, f'<Relationships xmlns="{RELS}"></Relationships>'))
        parts[rels] = old.replace("</Relationships>", made + "</Relationships>")
        if link.content is not None:
            parts[link.target] = link.content
        if link.media:
            types = types.replace(
                "</Types>", f'<Override PartName="/{link.target}" ContentType="{link.media}"/></Types>'
            )
    parts |= more or {}
    for ending, media in {
        "png": "image/png",
        "jpeg": "image/jpeg",
        "emf": "image/x-emf",
        "svg": "image/svg+xml",
        "bin": "application/vnd.openxmlformats-officedocument.oleObject",
        "xlsx": CT + "spreadsheetml.sheet",
        "docx": CT + "wordprocessingml.document",
        "html": "text/html",
        "vml": CT + "vmlDrawing",
        "odttf": CT + "obfuscatedFont",
    }.items():
        if f'Extension="{ending}"' not in types and any(name.endswith("." + ending) for name in parts):
            types = types.replace("<Default ", f'<Default Extension="{ending}" ContentType="{media}"/><Default ', 1)
    return package({**parts, "[Content_Types].xml": types})


def _text(content: str | bytes) -> str:
    return content if isinstance(content, str) else content.decode()


def picture(**options: object) -> bytes:
    """Return a blank PNG."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "white").save(out, "PNG", **options)
    return out.getvalue()


def _noted() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", NUMBER)
    return info


def _exif() -> bytes:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = NUMBER
    Image.new("RGB", (64, 48), "white").save(out, "JPEG", exif=exif, comment=NUMBER)
    return out.getvalue()


PICTURES = {
    "text chunk of a PNG": ("png", picture(pnginfo=_noted())),
    "EXIF and comment of a JPEG": ("jpeg", _exif()),
    "bytes behind a picture": ("png", picture() + f" {NUMBER} ".encode() * 3),
    "EMF": ("emf", emf_of(NUMBER)),
    "SVG": ("svg", f'<svg xmlns="http://www.w3.org/2000/svg"><text>{NUMBER}</text></svg>'.encode()),
}


def spot(xml: str) -> str:
    """Put the number into its place."""
    return filled(xml)


# --- Word

_DOC = "word/document.xml"
_LEAN = {
    "word/styles.xml": part(
        "styles", '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>'
    ),
    "word/stylesWithEffects.xml": part("styles", ""),
    "word/theme/theme1.xml": f'<a:theme xmlns:a="{A}" name="t"/>',
    "word/numbering.xml": part("numbering", ""),
}


def doc(body: str, *links: Link, more: Mapping[str, str | bytes] | None = None, tail: str = "") -> bytes:
    """Return a Word document with this body and parts."""
    xml = f'<w:document {XMLNS} xmlns:mc="{MC}" xmlns:c="{C}" xmlns:dgm="{D}" xmlns:o="{O}" mc:Ignorable=""><w:body>{p(run(KEPT))}{spot(body)}{tail}</w:body></w:document>'
    return wired(changed(docx_of(), {**_LEAN, _DOC: xml}), *links, more=more)


def graphic(inner: str, uri: str) -> str:
    """Return a paragraph with a graphic."""
    extent = '<wp:extent cx="900000" cy="900000"/><wp:docPr id="9" name="g"/>'
    return p(
        f'<w:r><w:drawing><wp:inline>{extent}<a:graphic><a:graphicData uri="{uri}">{inner}</a:graphicData></a:graphic></wp:inline></w:drawing></w:r>'
    )


def pic(ident: str, crop: str = "") -> str:
    """Return a paragraph with a picture."""
    pns = "http://schemas.openxmlformats.org/drawingml/2006/picture"
    return graphic(
        f'<pic:pic xmlns:pic="{pns}"><pic:nvPicPr><pic:cNvPr id="0" name="x"/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill><a:blip r:embed="{ident}"/>{crop}<a:stretch><a:fillRect/></a:stretch></pic:blipFill><pic:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="900000" cy="900000"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom></pic:spPr></pic:pic>',
        pns,
    )


def chart_xml(inner: str, tail: str = "") -> str:
    """Return a chart part with this in its plot."""
    return spot(
        f'<c:chartSpace xmlns:c="{C}" xmlns:a="{A}" xmlns:r="{R}"><c:chart><c:plotArea><c:layout/><c:barChart><c:barDir val="col"/><c:grouping val="clustered"/>{inner}<c:axId val="1"/><c:axId val="2"/></c:barChart><c:catAx><c:axId val="1"/><c:scaling/><c:delete val="0"/><c:axPos val="b"/><c:crossAx val="2"/></c:catAx><c:valAx><c:axId val="2"/><c:scaling/><c:delete val="0"/><c:axPos val="l"/><c:crossAx val="1"/></c:valAx></c:plotArea></c:chart>{tail}</c:chartSpace>'
    )


CHARTS = {
    "chart title": chart_xml("").replace(
        "<c:plotArea>",
        f"<c:title><c:tx><c:rich><a:bodyPr/><a:p><a:r><a:t>{NUMBER}</a:t></a:r></a:p></c:rich></c:tx></c:title><c:plotArea>",
    ),
    "chart text cache": chart_xml(
        '<c:ser><c:idx val="0"/><c:order val="0"/><c:cat><c:strRef><c:f>Sheet1!$A$1</c:f><c:strCache><c:ptCount val="1"/><c:pt idx="0"><c:v>N</c:v></c:pt></c:strCache></c:strRef></c:cat></c:ser>'
    ),
    "chart number cache": chart_xml(
        '<c:ser><c:idx val="0"/><c:order val="0"/><c:val><c:numRef><c:f>Sheet1!$A$1</c:f><c:numCache><c:ptCount val="1"/><c:pt idx="0"><c:v>N</c:v></c:pt></c:numCache></c:numRef></c:val></c:ser>'
    ),
    "chart formula": chart_xml(
        f'<c:ser><c:idx val="0"/><c:order val="0"/><c:val><c:numRef><c:f>\'{NUMBER}\'!$A$1</c:f></c:numRef></c:val></c:ser>'
    ),
}
_CHART_CT = CT + "drawingml.chart+xml"
_CHART = graphic('<c:chart r:id="rIdX"/>', C)
_DIAGRAM = graphic('<dgm:relIds r:dm="rIdX" r:lo="rIdX2" r:qs="rIdX3" r:cs="rIdX4"/>', D)
_DIAGRAM_DATA = f'<dgm:dataModel xmlns:dgm="{D}" xmlns:a="{A}" xmlns:dsp="{DSP}"><dgm:ptLst><dgm:pt modelId="1"><dgm:t><a:bodyPr/><a:p><a:r><a:t>N</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst><dgm:extLst><a:ext uri="u"><dsp:dataModelExt relId="rIdX5" minVer="m"/></a:ext></dgm:extLst></dgm:dataModel>'
_DIAGRAM_DRAWING = f'<dsp:drawing xmlns:dsp="{DSP}" xmlns:a="{A}"><dsp:spTree><dsp:sp modelId="1"><dsp:txBody><a:bodyPr/><a:p><a:r><a:t>N</a:t></a:r></a:p></dsp:txBody></dsp:sp></dsp:spTree></dsp:drawing>'


def diagram(source: str, folder: str) -> tuple[Link, ...]:
    """Return the five parts of a diagram with the number in its data and in the drawing that copies it."""
    kinds = (
        ("rIdX2", "diagramLayout", "layoutDef"),
        ("rIdX3", "diagramQuickStyle", "styleDef"),
        ("rIdX4", "diagramColors", "colorsDef"),
    )
    return (
        Link(
            source,
            "rIdX",
            "diagramData",
            f"{folder}/diagrams/data1.xml",
            spot(_DIAGRAM_DATA),
            CT + "drawingml.diagramData+xml",
        ),
        Link(
            source,
            "rIdX5",
            f"{MS}/diagramDrawing",
            f"{folder}/diagrams/drawing1.xml",
            spot(_DIAGRAM_DRAWING),
            "application/vnd.ms-office.drawingml.diagramDrawing+xml",
        ),
        *(
            Link(
                source,
                ident,
                kind,
                f"{folder}/diagrams/{kind}1.xml",
                f'<dgm:{root} xmlns:dgm="{D}"/>',
                f"{CT}drawingml.{'diagramStyle' if kind == 'diagramQuickStyle' else kind}+xml",
            )
            for ident, kind, root in kinds
        ),
    )


def _story(kind: str, root: str, inner: str) -> Link:
    return Link(_DOC, "rIdX", kind, f"word/{kind}1.xml", spot(part(root, inner)), f"{CT}wordprocessingml.{kind}+xml")


def _ref(kind: str, when: str = "default") -> str:
    return f'<w:sectPr><w:{kind}Reference w:type="{when}" r:id="rIdX"/></w:sectPr>'


def _settings(inner: str) -> bytes:
    return doc("", more={"word/settings.xml": spot(part("settings", inner))})


def _alternate(choice: str, fallback: str) -> str:
    return f'<mc:AlternateContent><mc:Choice Requires="wps">{choice}</mc:Choice><mc:Fallback>{fallback}</mc:Fallback></mc:AlternateContent>'


_BOX = "<w:drawing><wps:txbx><w:txbxContent>{}</w:txbxContent></wps:txbx></w:drawing>"
_OLD_BOX = "<w:pict><v:textbox><w:txbxContent>{}</w:txbxContent></v:textbox></w:pict>"
_SPLIT = "".join(run(sign) for sign in NUMBER)

WORD = {
    **{name: doc(inner) for name, inner in BODY.items()},
    "one run a character": doc(p(_SPLIT)),
    "marks between": doc(p(run(NUMBER[:6]) + '<w:proofErr w:type="spellStart"/><w:bookmarkStart w:id="3" w:name="b"/>' + run(NUMBER[6:]) + '<w:bookmarkEnd w:id="3"/>')),
    "hyphen between": doc(p(run(NUMBER[:6]) + "<w:r><w:noBreakHyphen/></w:r>" + run(NUMBER[6:14]) + "<w:r><w:noBreakHyphen/></w:r>" + run(NUMBER[14:]))),
    "tab between": doc(p(run("证件") + "<w:r><w:tab/></w:r>" + run(NUMBER))),
    "box and its fallback": doc(p(f"<w:r>{_alternate(_BOX.format(p(run(NUMBER))), _OLD_BOX.format(p(run(NUMBER))))}</w:r>")),
    "fallback alone": doc(p(f"<w:r>{_alternate(_BOX.format(p(run('x'))), _OLD_BOX.format(p(run(NUMBER))))}</w:r>")),
    "deleted row": doc(f'<w:tbl><w:tr><w:trPr><w:del w:id="7" w:author="a"/></w:trPr><w:tc>{p(run("N"))}</w:tc></w:tr><w:tr><w:tc>{p(run("x"))}</w:tc></w:tr></w:tbl>'),
    "former format": doc(p('<w:pPr><w:pPrChange w:id="1" w:author="N"><w:pPr/></w:pPrChange></w:pPr>' + run("x"))),
    "ruby above": doc(p(f"<w:r><w:ruby><w:rt>{run('N')}</w:rt><w:rubyBase>{run('x')}</w:rubyBase></w:ruby></w:r>")),
    "list entry": doc(p('<w:sdt><w:sdtPr><w:dropDownList><w:listItem w:displayText="N" w:value="N"/></w:dropDownList></w:sdtPr><w:sdtContent>' + run("x") + "</w:sdtContent></w:sdt>")),
    "control tag": doc('<w:sdt><w:sdtPr><w:tag w:val="N"/></w:sdtPr><w:sdtContent>' + p(run("x")) + "</w:sdtContent></w:sdt>"),
    "form field": doc(p('<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:name w:val="a"/><w:helpText w:type="text" w:val="N"/><w:statusText w:type="text" w:val="N"/><w:textInput><w:default w:val="N"/></w:textInput></w:ffData></w:fldChar></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>')),
    "form list": doc(p('<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:ddList><w:listEntry w:val="N"/></w:ddList></w:ffData></w:fldChar></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>')),
    "simple field code": doc(p(f'<w:fldSimple w:instr=" QUOTE {NUMBER} ">{run("x")}</w:fldSimple>')),
    "link tip": doc(p(f'<w:hyperlink w:anchor="x" w:tooltip="{NUMBER}">{run("x")}</w:hyperlink>')),
    "link to a bookmark": doc(p(f'<w:bookmarkStart w:id="1" w:name="{NUMBER}"/><w:bookmarkEnd w:id="1"/><w:hyperlink w:anchor="{NUMBER}">{run("x")}</w:hyperlink>')),
    "link target": doc(p(f'<w:hyperlink r:id="rIdX">{run("链接")}</w:hyperlink>'), Link(_DOC, "rIdX", "hyperlink", f"https://a.example/{NUMBER}")),
    "link target in percents": doc(p(f'<w:hyperlink r:id="rIdX">{run("链接")}</w:hyperlink>'), Link(_DOC, "rIdX", "hyperlink", "https://a.example/" + "".join(f"%{ord(c):02x}" for c in NUMBER))),
    "editor of a range": doc(p('<w:permStart w:id="1" w:ed="N"/>' + run("x") + '<w:permEnd w:id="1"/>')),
    "header": doc("", _story("header", "hdr", p(run("N"))), tail=_ref("header")),
    "header of even pages": doc("", _story("header", "hdr", p(run("N"))), tail=_ref("header", "even")),
    "footer of the first page": doc("", _story("footer", "ftr", p(run("N"))), tail=_ref("footer", "first")),
    "footnote": doc(p('<w:r><w:footnoteReference w:id="1"/></w:r>'), _story("footnotes", "footnotes", f'<w:footnote w:id="1">{p(run("N"))}</w:footnote>')),
    "footnote separator": doc("", _story("footnotes", "footnotes", f'<w:footnote w:type="separator" w:id="-1">{p(run("N"))}</w:footnote>')),
    "endnote": doc(p('<w:r><w:endnoteReference w:id="1"/></w:r>'), _story("endnotes", "endnotes", f'<w:endnote w:id="1">{p(run("N"))}</w:endnote>')),
    "comment": doc(p(f'<w:commentRangeStart w:id="1"/>{run("x")}<w:commentRangeEnd w:id="1"/><w:r><w:commentReference w:id="1"/></w:r>'), _story("comments", "comments", f'<w:comment w:id="1" w:author="a">{p(run("N"))}</w:comment>')),
    "comment author": doc(p('<w:r><w:commentReference w:id="1"/></w:r>'), _story("comments", "comments", f'<w:comment w:id="1" w:author="N">{p("")}</w:comment>')),
    "person": doc("", Link(_DOC, "rIdX", "http://schemas.microsoft.com/office/2011/relationships/people", "word/people.xml", f'<w15:people xmlns:w15="http://schemas.microsoft.com/office/word/2012/wordml"><w15:person w15:author="{NUMBER}"/></w15:people>', CT + "wordprocessingml.people+xml")),
    "list text": doc("", more={"word/numbering.xml": spot(part("numbering", '<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:lvlText w:val="N"/></w:lvl></w:abstractNum>'))}),
    "style name": doc("", more={"word/styles.xml": spot(part("styles", '<w:style w:type="paragraph" w:styleId="a"><w:name w:val="N"/></w:style>'))}),
    "style id": doc(f'<w:p><w:pPr><w:pStyle w:val="{NUMBER}"/></w:pPr>{run("x")}</w:p>', more={"word/styles.xml": spot(part("styles", '<w:style w:type="paragraph" w:styleId="N"><w:name w:val="样式"/></w:style>'))}),
    "variable": _settings('<w:docVars><w:docVar w:name="a" w:val="N"/></w:docVars>'),
    "mail merge": _settings('<w:mailMerge><w:connectString w:val="N"/><w:query w:val="SELECT N"/></w:mailMerge>'.replace("SELECT N", f"SELECT {NUMBER}")),
    "attached template": doc("", Link("word/settings.xml", "rIdX", "attachedTemplate", f"file:///C:/{NUMBER}/a.dotx"), more={"word/settings.xml": part("settings", '<w:attachedTemplate r:id="rIdX"/>')}),
    "glossary": doc("", Link(_DOC, "rIdX", "glossaryDocument", "word/glossary/document.xml", spot(part("glossaryDocument", f"<w:docParts><w:docPart><w:docPartBody>{p(run('N'))}</w:docPartBody></w:docPart></w:docParts>")), CT + "wordprocessingml.document.glossary+xml")),
    **{name: doc(_CHART, Link(_DOC, "rIdX", "chart", "word/charts/chart1.xml", xml, _CHART_CT)) for name, xml in CHARTS.items()},
    "workbook of a chart": doc(_CHART, Link(_DOC, "rIdX", "chart", "word/charts/chart1.xml", chart_xml("", '<c:externalData r:id="rId1"/>'), _CHART_CT), Link("word/charts/chart1.xml", "rId1", "package", "word/embeddings/book.xlsx", xlsx_of([[NUMBER]]))),
    "diagram": doc(_DIAGRAM, *diagram(_DOC, "word")),
    "embedded document": doc(p('<w:r><w:object><v:shape/><o:OLEObject Type="Embed" ProgID="Word.Document.12" r:id="rIdX"/></w:object></w:r>'), Link(_DOC, "rIdX", "package", "word/embeddings/inner.docx", docx_of(NUMBER))),
    "document chunk": doc('<w:altChunk r:id="rIdX"/>', Link(_DOC, "rIdX", "aFChunk", "word/chunk.docx", docx_of(NUMBER))),
    "HTML chunk": doc('<w:altChunk r:id="rIdX"/>', Link(_DOC, "rIdX", "aFChunk", "word/chunk.html", f"<html><body>{NUMBER}</body></html>")),
    "custom XML and its control": doc(f'<w:sdt><w:sdtPr><w:dataBinding w:xpath="/r/v" w:storeItemID="{{1}}"/></w:sdtPr><w:sdtContent>{p(run("N"))}</w:sdtContent></w:sdt>', Link(_DOC, "rIdX", "customXml", "customXml/item2.xml", f"<r><v>{NUMBER}</v></r>")),
    "custom XML in UTF-16": doc("", Link(_DOC, "rIdX", "customXml", "customXml/item2.xml", f'<?xml version="1.0" encoding="UTF-16"?><r>{NUMBER}</r>'.encode("utf-16"))),
    "title": doc("", more={"docProps/core.xml": f'<c:coreProperties xmlns:c="c" xmlns:d="d"><d:title>{NUMBER}</d:title></c:coreProperties>'}),
    "company": doc("", more={"docProps/app.xml": f'<Properties xmlns="p"><Company>{NUMBER}</Company></Properties>'}),
    "custom property": doc("", Link("", "rIdX", "custom-properties", "docProps/custom.xml", f'<Properties xmlns="p"><property name="{NUMBER}"/></Properties>', CT + "custom-properties+xml")),
    "label": doc("", Link("", "rIdX", "http://schemas.microsoft.com/office/2020/02/relationships/classificationlabels", "docMetadata/LabelInfo.xml", f'<l:labelList xmlns:l="l"><l:label name="{NUMBER}"/></l:labelList>')),
    "add-in": doc("", Link("", "rIdX", "http://schemas.microsoft.com/office/2011/relationships/webextensiontaskpanes", "word/webextensions/taskpanes.xml", f'<t:taskpanes xmlns:t="t"><t:p name="{NUMBER}"/></t:taskpanes>')),
    "own ribbon": doc("", Link("", "rIdX", "http://schemas.microsoft.com/office/2006/relationships/ui/extensibility", "customUI/customUI.xml", f'<customUI xmlns="u"><button label="{NUMBER}"/></customUI>')),
    "printer": doc("", Link(_DOC, "rIdX", "printerSettings", "word/printerSettings1.bin", bytes(40) + NUMBER.encode("utf-16-le") + bytes(40))),
    "font program": doc("", Link(_DOC, "rIdX", "font", "word/fonts/font1.odttf", bytes(40) + NUMBER.encode() + bytes(40))),
    "part that nothing leads to": doc("", more={"word/trash.xml": f"<a>{NUMBER}</a>"}),
    "name of a part": doc(pic("rIdX"), Link(_DOC, "rIdX", "image", f"word/media/{NUMBER}.png", picture())),
    "id of a relationship": doc(p(f'<w:hyperlink r:id="rId{NUMBER}">{run("链接")}</w:hyperlink>'), Link(_DOC, f"rId{NUMBER}", "hyperlink", "https://a.example/")),
    **{name: doc(pic("rIdX"), Link(_DOC, "rIdX", "image", f"word/media/x.{ending}", data)) for name, (ending, data) in PICTURES.items()},
    "boxes of a form": doc(f"<w:tbl><w:tr>{''.join(f'<w:tc>{p(run(sign))}</w:tc>' for sign in NUMBER)}</w:tr></w:tbl>"),
}  # fmt: skip

# --- Excel

_SHEET1 = "xl/worksheets/sheet1.xml"
_KEPT_ROW = f'<row r="1">{text(KEPT)}</row>'


def book(rows: str = "", after: str = "", *links: Link, more: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return a workbook of one sheet with these rows and parts."""
    return wired(changed(xlsx_of([["x"]]), {_SHEET1: sheet(_KEPT_ROW + rows, after)}), *links, more=more)


def _shared(*items: str) -> Link:
    made = f'<sst xmlns="{S}">{"".join(f"<si>{item}</si>" for item in items)}</sst>'
    return Link(
        "xl/workbook.xml", "rIdS", "sharedStrings", "xl/sharedStrings.xml", made, CT + "spreadsheetml.sharedStrings+xml"
    )


def _named(sheet_name: str, more: str) -> bytes:
    return book(more={"xl/workbook.xml": NAMED % (sheet_name, more)})


def _drawing(inner: str, *links: Link) -> bytes:
    xml = f'<xdr:wsDr xmlns:xdr="{X}" xmlns:a="{A}" xmlns:r="{R}" xmlns:c="{C}" xmlns:mc="{MC}"><xdr:oneCellAnchor><xdr:from><xdr:col>0</xdr:col><xdr:colOff>0</xdr:colOff><xdr:row>3</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:from><xdr:ext cx="900000" cy="900000"/>{inner}<xdr:clientData/></xdr:oneCellAnchor></xdr:wsDr>'
    return book(
        "",
        '<drawing r:id="rIdD"/>',
        Link(_SHEET1, "rIdD", "drawing", "xl/drawings/drawing1.xml", xml, CT + "drawing+xml"),
        *links,
    )


_SP = '<xdr:sp macro="" textlink=""><xdr:nvSpPr><xdr:cNvPr id="2" name="{}" descr="{}"/><xdr:cNvSpPr/></xdr:nvSpPr><xdr:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="9" cy="9"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom></xdr:spPr><xdr:txBody><a:bodyPr/><a:p><a:r><a:t>{}</a:t></a:r></a:p></xdr:txBody></xdr:sp>'
_FRAME = f'<xdr:graphicFrame macro=""><xdr:nvGraphicFramePr><xdr:cNvPr id="2" name="c"/><xdr:cNvGraphicFramePr/></xdr:nvGraphicFramePr><xdr:xfrm><a:off x="0" y="0"/><a:ext cx="0" cy="0"/></xdr:xfrm><a:graphic><a:graphicData uri="{C}"><c:chart r:id="rId1"/></a:graphicData></a:graphic></xdr:graphicFrame>'
_XPIC = '<xdr:pic><xdr:nvPicPr><xdr:cNvPr id="2" name="x"/><xdr:cNvPicPr/></xdr:nvPicPr><xdr:blipFill><a:blip r:embed="rId1"/><a:stretch><a:fillRect/></a:stretch></xdr:blipFill><xdr:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="9" cy="9"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom></xdr:spPr></xdr:pic>'
_DRAWING1 = "xl/drawings/drawing1.xml"


def _table(name: str, column: str) -> bytes:
    xml = f'<table xmlns="{S}" id="1" name="{name}" displayName="{name}" ref="A2:A3" totalsRowShown="0"><autoFilter ref="A2:A3"/><tableColumns count="1"><tableColumn id="1" name="{column}"/></tableColumns></table>'
    rows = (
        f'<row r="2"><c r="A2" t="inlineStr"><is><t>{column}</t></is></c></row><row r="3"><c r="A3"><v>1</v></c></row>'
    )
    return book(
        rows,
        '<tableParts count="1"><tablePart r:id="rIdT"/></tableParts>',
        Link(_SHEET1, "rIdT", "table", "xl/tables/table1.xml", xml, CT + "spreadsheetml.table+xml"),
    )


def _cell(xml: str) -> str:
    return f'<row r="2">{xml}</row>'


_COMMENTS = f'<comments xmlns="{S}"><authors><author>{{}}</author></authors><commentList><comment ref="A1" authorId="0"><text><r><t>{{}}</t></r></text></comment></commentList></comments>'


def _commented(author: str, said: str) -> bytes:
    vml = f'<xml xmlns:v="urn:schemas-microsoft-com:vml" xmlns:x="urn:schemas-microsoft-com:office:excel"><v:shape id="s" alt="{said}"><v:textbox><div>{said}</div></v:textbox></v:shape></xml>'
    return book(
        "",
        '<legacyDrawing r:id="rIdV"/>',
        Link(
            _SHEET1,
            "rIdC",
            "comments",
            "xl/comments1.xml",
            _COMMENTS.format(author, said),
            CT + "spreadsheetml.comments+xml",
        ),
        Link(_SHEET1, "rIdV", "vmlDrawing", "xl/drawings/vmlDrawing1.vml", vml),
    )


EXCEL = {
    "inline cell": book(_cell(text(NUMBER))),
    "shared string": book(_cell('<c r="A2" t="s"><v>0</v></c>'), "", _shared(f"<t>{NUMBER}</t>")),
    "shared string in runs": book(_cell('<c r="A2" t="s"><v>0</v></c>'), "", _shared(f"<r><t>{NUMBER[:7]}</t></r><r><t>{NUMBER[7:]}</t></r>")),
    "shared string of two cells": book(_cell('<c r="A2" t="s"><v>0</v></c><c r="B2" t="s"><v>0</v></c>'), "", _shared(f"<t>证件{NUMBER}</t>")),
    "shared string nobody uses": book("", "", _shared(f"<t>{NUMBER}</t>")),
    "ruby": book(_cell('<c r="A2" t="s"><v>0</v></c>'), "", _shared(f'<t>x</t><rPh sb="0" eb="1"><t>{NUMBER}</t></rPh>')),
    "formula result": book(_cell(f'<c r="A2" t="str"><f>B2</f><v>{NUMBER}</v></c>')),
    "shared formula": book(_cell(f'<c r="A2" t="str"><f t="shared" ref="A2:A3" si="0">"{NUMBER}"&amp;B2</f><v>x</v></c>') + '<row r="3"><c r="A3" t="str"><f t="shared" si="0"/><v>x</v></c></row>'),
    "formula text": book(_cell(f'<c r="A2"><f>IF(A1,"{NUMBER}","")</f><v>0</v></c>')),
    "hidden row": book(f'<row r="2" hidden="1">{text(NUMBER)}</row>'),
    "sheet name": _named(NUMBER, ""),
    "very hidden sheet name": book(more={"xl/workbook.xml": (NAMED % ("a", "")).replace("</sheets>", f'<sheet name="{NUMBER}" sheetId="2" state="veryHidden" r:id="rId1"/></sheets>')}),
    "defined name": _named("a", f'<definedNames><definedName name="n" hidden="1">"{NUMBER}"</definedName></definedNames>'),
    "print area": book(more={"xl/workbook.xml": NAMED % (NUMBER, f"<definedNames><definedName name=\"_xlnm.Print_Area\" localSheetId=\"0\">'{NUMBER}'!$A$1:$A$2</definedName></definedNames>")}),
    "who shares it": book(more={"xl/workbook.xml": (NAMED % ("a", "")).replace("<sheets>", f'<fileSharing userName="{NUMBER}"/><sheets>')}),
    "custom view": book("", "", more={"xl/workbook.xml": NAMED % ("a", f'<customWorkbookViews><customWorkbookView name="{NUMBER}" guid="{{0}}" windowWidth="1" windowHeight="1" activeSheetId="1"/></customWorkbookViews>')}),
    "comment": _commented("a", NUMBER),
    "comment author": _commented(NUMBER, "x"),
    "threaded comment": book("", "", Link(_SHEET1, "rIdC", "http://schemas.microsoft.com/office/2017/10/relationships/threadedComment", "xl/threadedComments/t1.xml", f'<ThreadedComments xmlns="t"><threadedComment ref="A1"><text>{NUMBER}</text></threadedComment></ThreadedComments>')),
    "number format": book("", "", more={"xl/styles.xml": f'<styleSheet xmlns="{S}"><numFmts count="1"><numFmt numFmtId="200" formatCode="&quot;{NUMBER}&quot;0"/></numFmts></styleSheet>'}),
    "print header": book("", f"<headerFooter><oddHeader>&amp;C{NUMBER}</oddHeader></headerFooter>"),
    "print footer of even pages": book("", f"<headerFooter><evenFooter>&amp;C{NUMBER}</evenFooter></headerFooter>"),
    "validation list": book("", f'<dataValidations count="1"><dataValidation type="list" sqref="A1"><formula1>"{NUMBER},b"</formula1></dataValidation></dataValidations>'),
    "validation prompt": book("", f'<dataValidations count="1"><dataValidation sqref="A1" prompt="{NUMBER}" promptTitle="{NUMBER}" error="{NUMBER}"/></dataValidations>'),
    "conditional format": book("", f'<conditionalFormatting sqref="A1"><cfRule type="containsText" priority="1" operator="containsText" text="{NUMBER}"><formula>NOT(ISERROR(SEARCH("{NUMBER}",A1)))</formula></cfRule></conditionalFormatting>'),
    "filter": book("", f'<autoFilter ref="A1:A2"><filterColumn colId="0"><filters><filter val="{NUMBER}"/></filters></filterColumn></autoFilter>'),
    "scenario": book("", f'<scenarios><scenario name="{NUMBER}" count="1"><inputCells r="A1" val="{NUMBER}"/></scenario></scenarios>'),
    "protected range": book("", f'<protectedRanges><protectedRange sqref="A1" name="{NUMBER}"/></protectedRanges>'),
    "link": book("", '<hyperlinks><hyperlink ref="A1" r:id="rIdH"/></hyperlinks>', Link(_SHEET1, "rIdH", "hyperlink", f"mailto:{NUMBER}@a.example")),
    "link inside": book("", f'<hyperlinks><hyperlink ref="A1" location="\'{NUMBER}\'!A1" display="{NUMBER}" tooltip="{NUMBER}"/></hyperlinks>'),
    "table name": _table("t" + NUMBER, "列"),
    "table column": _table("t", NUMBER),
    "title": book("", "", more={"docProps/core.xml": f'<c:coreProperties xmlns:c="c" xmlns:d="d"><d:title>{NUMBER}</d:title></c:coreProperties>'}),
    "shape text": _drawing(_SP.format("s", "d", NUMBER)),
    "shape name": _drawing(_SP.format(NUMBER, "d", "x")),
    "shape alt text": _drawing(_SP.format("s", NUMBER, "x")),
    **{name: _drawing(_FRAME, Link(_DRAWING1, "rId1", "chart", "xl/charts/chart1.xml", xml, _CHART_CT)) for name, xml in CHARTS.items()},
    **{name: _drawing(_XPIC, Link(_DRAWING1, "rId1", "image", f"xl/media/x.{ending}", data)) for name, (ending, data) in PICTURES.items()},
    "external link": book("", "", Link("xl/workbook.xml", "rIdE", "externalLink", "xl/externalLinks/externalLink1.xml", f'<externalLink xmlns="{S}"><externalBook><sheetNames><sheetName val="a"/></sheetNames><sheetDataSet><sheetData sheetId="0"><row r="1"><cell r="A1" t="str"><v>{NUMBER}</v></cell></row></sheetData></sheetDataSet></externalBook></externalLink>', CT + "spreadsheetml.externalLink+xml"), more={"xl/workbook.xml": NAMED % ("a", '<externalReferences><externalReference r:id="rIdE"/></externalReferences>')}),
    "connection": book("", "", Link("xl/workbook.xml", "rIdE", "connections", "xl/connections.xml", f'<connections xmlns="{S}"><connection id="1" name="a"><dbPr connection="uid={NUMBER}"/></connection></connections>', CT + "spreadsheetml.connections+xml")),
    "pivot cache": book("", "", Link("xl/workbook.xml", "rIdE", "pivotCacheDefinition", "xl/pivotCache/pivotCacheDefinition1.xml", f'<pivotCacheDefinition xmlns="{S}"><cacheFields><cacheField name="a"><sharedItems><s v="{NUMBER}"/></sharedItems></cacheField></cacheFields></pivotCacheDefinition>', CT + "spreadsheetml.pivotCacheDefinition+xml"), more={"xl/workbook.xml": NAMED % ("a", '<pivotCaches><pivotCache cacheId="1" r:id="rIdE"/></pivotCaches>')}),
    "revision": book("", "", Link("xl/workbook.xml", "rIdE", "revisionHeaders", "xl/revisions/revisionHeaders.xml", f'<headers xmlns="{S}"><header userName="{NUMBER}"/></headers>', CT + "spreadsheetml.revisionHeaders+xml")),
    "printer": book("", "", Link(_SHEET1, "rIdP", "printerSettings", "xl/printerSettings/printerSettings1.bin", bytes(40) + NUMBER.encode("utf-16-le") + bytes(40))),
    "boxes of a form": book('<row r="2">' + "".join(f'<c r="{chr(65 + n)}2"><v>{sign}</v></c>' for n, sign in enumerate(NUMBER)) + "</row>"),
    "digits that a sheet keeps": book(_cell(text(NUMBER)) + f'<row r="3"><c r="A3"><v>{float(NUMBER)!r}</v></c></row>'),
}  # fmt: skip

# --- PowerPoint

_SLIDE = "ppt/slides/slide1.xml"
_TREE = '<p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>{}</p:spTree></p:cSld>'
_MAP = '<p:clrMap bg1="lt1" tx1="dk1" bg2="lt2" tx2="dk2" accent1="accent1" accent2="accent2" accent3="accent3" accent4="accent4" accent5="accent5" accent6="accent6" hlink="hlink" folHlink="folHlink"/>'
_THEME = (
    f'<a:theme xmlns:a="{A}" name="t"><a:themeElements><a:clrScheme name="c">'
    + "".join(
        f'<a:{name}><a:srgbClr val="{value}"/></a:{name}>'
        for name, value in (
            ("dk1", "000000"),
            ("lt1", "FFFFFF"),
            ("dk2", "111111"),
            ("lt2", "EEEEEE"),
            *((f"accent{n}", f"{n}{n}44AA") for n in range(1, 7)),
            ("hlink", "0000FF"),
            ("folHlink", "800080"),
        )
    )
    + '</a:clrScheme><a:fontScheme name="f"><a:majorFont><a:latin typeface="Arial"/><a:ea typeface=""/><a:cs typeface=""/></a:majorFont><a:minorFont><a:latin typeface="Arial"/><a:ea typeface=""/><a:cs typeface=""/></a:minorFont></a:fontScheme><a:fmtScheme name="f"><a:fillStyleLst>'
    + '<a:solidFill><a:schemeClr val="phClr"/></a:solidFill>' * 3
    + "</a:fillStyleLst><a:lnStyleLst>"
    + '<a:ln><a:solidFill><a:schemeClr val="phClr"/></a:solidFill></a:ln>' * 3
    + "</a:lnStyleLst><a:effectStyleLst>"
    + "<a:effectStyle><a:effectLst/></a:effectStyle>" * 3
    + "</a:effectStyleLst><a:bgFillStyleLst>"
    + '<a:solidFill><a:schemeClr val="phClr"/></a:solidFill>' * 3
    + "</a:bgFillStyleLst></a:fmtScheme></a:themeElements></a:theme>"
)
_PNS = f'{PNS} xmlns:r="{R}" xmlns:c="{C}" xmlns:dgm="{D}" xmlns:mc="{MC}"'
_PCT = CT + "presentationml."


def _sp(words: str, extra: str = "") -> str:
    placed = '<p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr><a:xfrm><a:off x="900000" y="900000"/><a:ext cx="5000000" cy="900000"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr><p:txBody><a:bodyPr/>'
    return shape(words, extra).replace("</p:nvSpPr><p:txBody>", placed)


def deck(
    shapes: str = "",
    *links: Link,
    slides: str = "",
    master: str = "",
    layout: str = "",
    whole: str = "",
    more: Mapping[str, str | bytes] | None = None,
) -> bytes:
    """Return a presentation of one slide with these shapes and parts."""

    def root(name: str, inner: str, tail: str, extra: str = "") -> str:
        return f"<p:{name} {_PNS} {extra}>{_TREE.format(inner)}{tail}</p:{name}>"

    base = package(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/></Types>'
        }
    )
    main = f'<p:presentation {_PNS}><p:sldMasterIdLst><p:sldMasterId id="2147483648" r:id="rId1"/></p:sldMasterIdLst><p:sldIdLst><p:sldId id="256" r:id="rId2"/>{slides}</p:sldIdLst><p:sldSz cx="9144000" cy="6858000"/><p:notesSz cx="6858000" cy="9144000"/>{whole}</p:presentation>'
    layouts = '<p:sldLayoutIdLst><p:sldLayoutId id="2147483649" r:id="rId1"/></p:sldLayoutIdLst>'
    return wired(
        base,
        Link("", "rId1", "officeDocument", "ppt/presentation.xml", main, _PCT + "presentation.main+xml"),
        Link(
            "ppt/presentation.xml",
            "rId1",
            "slideMaster",
            "ppt/slideMasters/slideMaster1.xml",
            root("sldMaster", master, _MAP + layouts),
            _PCT + "slideMaster+xml",
        ),
        Link(
            "ppt/presentation.xml",
            "rId2",
            "slide",
            _SLIDE,
            root("sld", _sp(KEPT) + shapes, ""),
            _PCT + "slide+xml",
        ),
        Link(
            "ppt/slideMasters/slideMaster1.xml",
            "rId1",
            "slideLayout",
            "ppt/slideLayouts/slideLayout1.xml",
            root("sldLayout", layout, "", 'type="blank"'),
            _PCT + "slideLayout+xml",
        ),
        Link("ppt/slideMasters/slideMaster1.xml", "rId2", "theme", "ppt/theme/theme1.xml", _THEME, CT + "theme+xml"),
        Link("ppt/slideLayouts/slideLayout1.xml", "rId1", "slideMaster", "ppt/slideMasters/slideMaster1.xml"),
        Link(_SLIDE, "rId1", "slideLayout", "ppt/slideLayouts/slideLayout1.xml"),
        *links,
        more=more,
    )


def _frame(inner: str, uri: str) -> str:
    return f'<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="5" name="g"/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr><p:xfrm><a:off x="0" y="0"/><a:ext cx="3000000" cy="3000000"/></p:xfrm><a:graphic><a:graphicData uri="{uri}">{inner}</a:graphicData></a:graphic></p:graphicFrame>'


def _grid(words: str) -> str:
    cell = f"<a:tc><a:txBody><a:bodyPr/><a:p><a:r><a:t>{words}</a:t></a:r></a:p></a:txBody><a:tcPr/></a:tc>"
    return _frame(
        f'<a:tbl><a:tblPr/><a:tblGrid><a:gridCol w="3000000"/></a:tblGrid><a:tr h="300000">{cell}</a:tr></a:tbl>',
        "http://schemas.openxmlformats.org/drawingml/2006/table",
    )


def _ppic(more: str = "") -> str:
    return f'<p:pic><p:nvPicPr><p:cNvPr id="6" name="x"/><p:cNvPicPr/><p:nvPr>{more}</p:nvPr></p:nvPicPr><p:blipFill><a:blip r:embed="rIdX"/><a:stretch><a:fillRect/></a:stretch></p:blipFill><p:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="900000" cy="900000"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr></p:pic>'


_HIDDEN = Link(
    "ppt/presentation.xml",
    "rIdH",
    "slide",
    "ppt/slides/slide2.xml",
    f'<p:sld {_PNS} show="0">{_TREE.format(_sp(NUMBER))}</p:sld>',
    _PCT + "slide+xml",
)
_NOTES = Link(
    _SLIDE,
    "rIdN",
    "notesSlide",
    "ppt/notesSlides/notesSlide1.xml",
    f"<p:notes {_PNS}>{_TREE.format(_sp(NUMBER))}</p:notes>",
    _PCT + "notesSlide+xml",
)
_LINKED = _sp("x").replace('name="s" />', 'name="s"><a:hlinkClick r:id="rIdX" tooltip="{}"/></p:cNvPr>')

POINT = {
    "text of two runs": deck(_sp(NUMBER)),
    "group": deck(f'<p:grpSp><p:nvGrpSpPr><p:cNvPr id="7" name="g"/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>{_sp(NUMBER)}</p:grpSp>'),
    "beside the slide": deck(_sp(NUMBER).replace('x="900000"', 'x="-9999999"')),
    "hidden slide": deck("", _HIDDEN, Link("ppt/slides/slide2.xml", "rId1", "slideLayout", "ppt/slideLayouts/slideLayout1.xml"), slides='<p:sldId id="257" r:id="rIdH"/>'),
    "alt text": deck(_sp("x", f'descr="{NUMBER}" title="{NUMBER}"')),
    "shape name": deck(_sp("x").replace('name="s"', f'name="{NUMBER}"')),
    "table": deck(_grid(NUMBER)),
    "field": deck(_sp("x").replace("<a:r>", f'<a:fld id="{{1}}" type="datetime"><a:t>{NUMBER}</a:t></a:fld><a:r>', 1)),
    "notes": deck("", _NOTES, Link("ppt/notesSlides/notesSlide1.xml", "rId1", "slide", _SLIDE)),
    "layout": deck(layout=_sp(NUMBER)),
    "master": deck(master=_sp(NUMBER)),
    "theme name": deck(more={"ppt/theme/theme1.xml": _THEME.replace('name="t"', f'name="{NUMBER}"')}),
    "link": deck(_LINKED.format("x"), Link(_SLIDE, "rIdX", "hyperlink", f"https://a.example/{NUMBER}")),
    "link tip": deck(_LINKED.format(NUMBER), Link(_SLIDE, "rIdX", "hyperlink", "https://a.example/")),
    "custom show": deck(whole=f'<p:custShowLst><p:custShow name="{NUMBER}" id="0"><p:sldLst><p:sld r:id="rId2"/></p:sldLst></p:custShow></p:custShowLst>'),
    "section": deck(whole=f'<p:extLst><p:ext uri="u"><p14:sectionLst xmlns:p14="p14"><p14:section name="{NUMBER}"/></p14:sectionLst></p:ext></p:extLst>'),
    "comment": deck("", Link(_SLIDE, "rIdX", "comments", "ppt/comments/comment1.xml", f"<p:cmLst {PNS}><p:cm><p:text>{NUMBER}</p:text></p:cm></p:cmLst>", _PCT + "comments+xml")),
    "comment author": deck("", Link("ppt/presentation.xml", "rIdX", "commentAuthors", "ppt/commentAuthors.xml", f'<p:cmAuthorLst {PNS}><p:cmAuthor id="0" name="{NUMBER}"/></p:cmAuthorLst>', _PCT + "commentAuthors+xml")),
    "tag": deck("", Link(_SLIDE, "rIdX", "tags", "ppt/tags/tag1.xml", f'<p:tagLst {PNS}><p:tag name="a" val="{NUMBER}"/></p:tagLst>', _PCT + "tags+xml")),
    "view": deck("", Link("ppt/presentation.xml", "rIdX", "viewProps", "ppt/viewProps.xml", f'<p:viewPr {PNS}><p:x name="{NUMBER}"/></p:viewPr>', _PCT + "viewProps+xml")),
    "diagram": deck(_frame('<dgm:relIds r:dm="rIdX" r:lo="rIdX2" r:qs="rIdX3" r:cs="rIdX4"/>', D), *diagram(_SLIDE, "ppt")),
    **{name: deck(_frame('<c:chart r:id="rIdX"/>', C), Link(_SLIDE, "rIdX", "chart", "ppt/charts/chart1.xml", xml, _CHART_CT)) for name, xml in CHARTS.items()},
    "workbook of a chart": deck(_frame('<c:chart r:id="rIdX"/>', C), Link(_SLIDE, "rIdX", "chart", "ppt/charts/chart1.xml", chart_xml("", '<c:externalData r:id="rId1"/>'), _CHART_CT), Link("ppt/charts/chart1.xml", "rId1", "package", "ppt/embeddings/book.xlsx", xlsx_of([[NUMBER]]))),
    **{name: deck(_ppic(), Link(_SLIDE, "rIdX", "image", f"ppt/media/x.{ending}", data)) for name, (ending, data) in PICTURES.items()},
    "film": deck(_ppic('<a:videoFile r:link="rIdY"/>'), Link(_SLIDE, "rIdX", "image", "ppt/media/x.png", picture()), Link(_SLIDE, "rIdY", "video", f"file:///{NUMBER}.mp4")),
    "title": deck("", Link("", "rIdX", "http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties", "docProps/core.xml", f'<c:coreProperties xmlns:c="c" xmlns:d="d"><d:title>{NUMBER}</d:title></c:coreProperties>')),
}  # fmt: skip
