"""What the content of a PDF page shows, and where: each glyph, picture, form and path with its place on the page.

Places are those of the page as it is shown (points, origin top left), so that they compare with what was read. The
instructions stay as they are; a redactor changes those that a `Show` or a `Drawn` points at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pikepdf

from dlp.formats import pdf_fonts
from dlp.formats.pdf_frame import Sides
from dlp.formats.pdf_layers import Layers
from dlp.formats.pdf_ops import NeedsRaster, Op, numbers, parse, put, turn_of
from dlp.formats.placed import STILL, Turn, times

MOST_GLYPHS = 500_000  # of one page
NESTING = 12  # forms in forms
RULE = 2.0  # points: what is thinner is a rule between cells
TALL = 4.0  # points: what is lower is no rule between cells


class Manner(NamedTuple):
    """How text is shown: the text part of the graphics state."""

    font: pdf_fonts.Font | None = None
    face: Any = None
    """The dictionary of the font."""
    size: float = 0.0
    spacing: float = 0.0
    word: float = 0.0
    stretch: float = 1.0
    leading: float = 0.0
    rise: float = 0.0


class Show:
    """One instruction that shows text. Lengths along `starts` and `ends` are in text space, from where it begins."""

    __slots__ = ("at", "codes", "ctm", "ends", "manner", "moved", "start", "starts", "turn")

    def __init__(self, at: int, start: Turn, ctm: Turn, manner: Manner) -> None:
        self.at = at
        self.start = start
        """Text matrix before the first glyph."""
        self.ctm = ctm
        self.turn = times(start, ctm)
        self.manner = manner
        self.codes: list[bytes] = []
        self.starts: list[float] = []
        self.ends: list[float] = []
        """Where each glyph ends by itself, without any spacing behind it."""
        self.moved = 0.0
        """How far the pen has gone at the end."""

    @property
    def vertical(self) -> bool:
        """Tell whether the pen moves down."""
        return self.manner.font is not None and self.manner.font.vertical

    @property
    def em(self) -> float:
        """Return the height of a letter's square for size 1."""
        return self.manner.font.em if self.manner.font is not None else 1.0

    def core(self, number: int) -> Sides:
        """Return the middle of a glyph in text space: what tells where it stands."""
        size, rise = self.manner.size, self.manner.rise
        if self.vertical:
            half = abs(self._width(number)) / 2
            return (-half, self.ends[number], half, self.starts[number])
        return (self.starts[number], rise, self.ends[number], rise + 0.5 * size * self.em)

    def whole(self, number: int) -> Sides:
        """Return a glyph in text space with all of its height."""
        x0, y0, x1, y1 = self.core(number)
        font, size, rise = self.manner.font, self.manner.size, self.manner.rise
        if font is None or self.vertical:
            return (x0, y0, x1, y1)
        return (x0, rise + font.descent * size, x1, rise + font.ascent * size)

    def _width(self, number: int) -> float:
        font = self.manner.font
        return font.width(self.codes[number]) * self.manner.size * self.manner.stretch if font else 0.0

    def matrix_at(self, number: int) -> Turn:
        """Return the text matrix with its origin at a glyph."""
        start = self.starts[number]
        along = (1.0, 0.0, 0.0, 1.0, 0.0, start) if self.vertical else (1.0, 0.0, 0.0, 1.0, start, 0.0)
        return times(along, self.start)


class Drawn(NamedTuple):
    """A picture, a form or a path: where its instruction stands, and its place on the page."""

    at: int
    turn: Turn
    thing: Any
    sides: Sides
    inner: Content | None = None
    first: int = 0
    """Of a path: where its first instruction stands."""


class Content:
    """One content stream taken apart."""

    __slots__ = ("forms", "hidden", "ops", "paths", "pictures", "resources", "rules", "shows", "void")

    def __init__(self, ops: list[Op], resources: Any) -> None:
        self.ops = ops
        self.resources = resources
        self.shows: list[Show] = []
        self.pictures: list[Drawn] = []
        self.forms: list[Drawn] = []
        self.paths: list[Drawn] = []
        self.hidden: set[int] = set()
        """Instructions inside layers that are switched off."""
        self.void: set[int] = set()
        """Instructions that name what is not there: a reader may find something of that name elsewhere."""
        self.rules: list[tuple[float, float, float]] = []
        """Upright lines, as tables have them between cells: x, top, bottom."""


def key_of(thing: Any) -> object:
    """Return what tells an object of a document from all others."""
    return thing.objgen if thing.is_indirect else thing.unparse()


class Shared:
    """What all contents of one document share: measured fonts, and layers."""

    def __init__(self, layers: Layers, tick: Callable[[], None]) -> None:
        self.layers = layers
        self.tick = tick
        self._fonts: dict[Any, pdf_fonts.Font] = {}

    def font(self, thing: Any) -> pdf_fonts.Font:
        """Return the measures of a font, taken once."""
        key = key_of(thing)
        found = self._fonts.get(key)
        if found is None:
            if any(_says_something(drawing, text_only=True) for drawing in thing.get("/CharProcs", {}).values()):
                raise NeedsRaster("a font draws its letters with other text or pictures")
            found = self._fonts[key] = pdf_fonts.load(thing)
        return found


class _State(NamedTuple):
    ctm: Turn
    manner: Manner


def look(
    content: Any, resources: Any, turn: Turn, shared: Shared, *, manner: Manner | None = None, depth: int = 0
) -> Content:
    """Take a page or a form apart. `turn` brings its coordinates to those of the page as shown.

    A form begins with the manner of text that its page has at that moment.

    Raises `NeedsRaster` for what cannot be followed to the last glyph.
    """
    shared.tick()
    if depth > NESTING:
        raise NeedsRaster("forms are nested too deep")
    run = _Run(Content(parse(content), resources), turn, shared, depth)
    run.start(manner or Manner())
    for at, op in enumerate(run.content.ops):
        run.step(at, op)
    return run.content


class _Run:
    """One pass over the instructions of one content stream."""

    def __init__(self, content: Content, turn: Turn, shared: Shared, depth: int) -> None:
        self.content = content
        self._shared = shared
        self._depth = depth
        self._ctm = turn
        self._manner = Manner()
        self._kept: list[_State] = []
        self._line = STILL
        self._pen = STILL
        self._path: list[tuple[float, float]] = []
        self._uprights: list[tuple[float, float, float]] = []
        self._bars: list[tuple[float, float, float]] = []
        self._first = 0
        self._off: list[bool] = []
        self._glyphs = 0

    def start(self, manner: Manner) -> None:
        """Begin with the manner of text of whoever shows this content."""
        self._manner = manner

    def step(self, at: int, op: Op) -> None:
        """Follow one instruction."""
        name = op.name
        if any(self._off):
            self.content.hidden.add(at)
        work = _STEPS.get(name)
        if work is not None:
            work(self, at, op)

    def _resource(self, kind: str, name: str) -> Any:
        found = self._optional(kind, name)
        if found is None:
            raise NeedsRaster("its content uses something that is not there")
        return found

    def _optional(self, kind: str, name: str) -> Any:
        table = self.content.resources.get(kind) if self.content.resources is not None else None
        return table.get(name) if isinstance(table, pikepdf.Dictionary) else None

    # states

    def keep(self, at: int, op: Op) -> None:  # noqa: ARG002
        self._kept.append(_State(self._ctm, self._manner))

    def take_back(self, at: int, op: Op) -> None:  # noqa: ARG002
        self._ctm, self._manner = self._kept.pop()

    def turn(self, at: int, op: Op) -> None:  # noqa: ARG002
        self._ctm = times(turn_of(op.operands), self._ctm)

    def settings(self, at: int, op: Op) -> None:
        found = self._optional("/ExtGState", str(op.operands[0]))
        if found is None:
            self.content.void.add(at)
            return
        mask = found.get("/SMask")
        if isinstance(mask, pikepdf.Dictionary):
            raise NeedsRaster("it shows things through a soft mask")
        font = found.get("/Font")
        if font is not None:
            self._set_font(font[0], float(font[1]))

    def colour(self, at: int, op: Op) -> None:  # noqa: ARG002
        if not op.operands or not isinstance(op.operands[-1], pikepdf.Name):
            return
        pattern = self._resource("/Pattern", str(op.operands[-1]))
        if isinstance(pattern, pikepdf.Stream) and _says_something(pattern):
            raise NeedsRaster("it paints with a pattern that holds text or pictures")

    def space(self, at: int, op: Op) -> None:  # noqa: ARG002
        name = str(op.operands[0])
        if name not in ("/DeviceGray", "/DeviceRGB", "/DeviceCMYK", "/Pattern", "/G", "/RGB", "/CMYK", "/I"):
            self._resource("/ColorSpace", name)

    def shade(self, at: int, op: Op) -> None:  # noqa: ARG002
        self._resource("/Shading", str(op.operands[0]))

    # layers

    def mark(self, at: int, op: Op) -> None:  # noqa: ARG002
        off = False
        if op.name == "BDC" and str(op.operands[0]) == "/OC":
            layer = op.operands[1]
            if isinstance(layer, pikepdf.Name):
                layer = self._resource("/Properties", str(layer))
            off = self._shared.layers.is_off(layer)
        self._off.append(off)

    def unmark(self, at: int, op: Op) -> None:  # noqa: ARG002
        if self._off:
            self._off.pop()

    # text

    def begin(self, at: int, op: Op) -> None:  # noqa: ARG002
        self._line = self._pen = STILL

    def font(self, at: int, op: Op) -> None:  # noqa: ARG002
        self._set_font(self._resource("/Font", str(op.operands[0])), float(op.operands[1]))

    def _set_font(self, face: Any, size: float) -> None:
        self._manner = self._manner._replace(font=self._shared.font(face), face=face, size=size)

    def manner(self, at: int, op: Op) -> None:  # noqa: ARG002
        value = float(op.operands[0])
        changes: dict[str, Any] = {_MANNERS[op.name]: value / 100 if op.name == "Tz" else value}
        self._manner = self._manner._replace(**changes)

    def move(self, at: int, op: Op) -> None:  # noqa: ARG002
        x, y = numbers(op)
        if op.name == "TD":
            self._manner = self._manner._replace(leading=-y)
        self._move(x, y)

    def _move(self, x: float, y: float) -> None:
        self._line = self._pen = times((1.0, 0.0, 0.0, 1.0, x, y), self._line)

    def place(self, at: int, op: Op) -> None:  # noqa: ARG002
        self._line = self._pen = turn_of(op.operands)

    def next_line(self, at: int, op: Op) -> None:  # noqa: ARG002
        self._move(0.0, -self._manner.leading)

    def show(self, at: int, op: Op) -> None:
        """Follow the pen over every glyph of Tj, TJ, ' and "."""
        if op.name in ("'", '"'):
            if op.name == '"':
                self._manner = self._manner._replace(word=float(op.operands[0]), spacing=float(op.operands[1]))
            self._move(0.0, -self._manner.leading)
        items = op.operands[0] if op.name == "TJ" else [op.operands[-1]]
        manner = self._manner
        font = manner.font
        if font is None:
            raise NeedsRaster("text is shown without a font")
        show = Show(at, self._pen, self._ctm, manner)
        along = manner.size if font.vertical else manner.size * manner.stretch
        gap = 1.0 if font.vertical else manner.stretch
        pen = 0.0
        measure = font.down if font.vertical else font.width
        for item in items:
            if not isinstance(item, pikepdf.String):
                pen -= float(item) / 1_000 * along
                continue
            for code in font.split(bytes(item)):
                show.codes.append(code)
                show.starts.append(pen)
                end = pen + measure(code) * along
                show.ends.append(end)
                pen = end + (manner.spacing + (manner.word if code == b" " else 0.0)) * gap
        self._glyphs += len(show.codes)
        if self._glyphs > MOST_GLYPHS:
            raise NeedsRaster("it has more glyphs than are looked at")
        show.moved = pen
        self._pen = times((1.0, 0.0, 0.0, 1.0, *((0.0, pen) if font.vertical else (pen, 0.0))), self._pen)
        self.content.shows.append(show)

    # paths, pictures, forms

    def point(self, at: int, op: Op) -> None:
        """Follow a path by its points; curves by those that hold them."""
        if not self._path:
            self._first = at
        values = numbers(op)
        if op.name == "re":
            x, y, wide, high = values
            values = [x, y, x + wide, y, x + wide, y + high, x, y + high]
        points = [put(self._ctm, *values[i : i + 2]) for i in range(0, len(values), 2)]
        if op.name == "re":
            x0, y0, x1, y1 = _around(points)
            if y1 - y0 > TALL:
                self._uprights += [(x0, y0, y1), (x1, y0, y1)]
                if x1 - x0 <= RULE:
                    self._bars.append((x0, y0, y1))
        elif op.name == "l" and self._path:
            (x0, y0), (x1, y1) = self._path[-1], points[0]
            if abs(x1 - x0) < RULE / 4 and abs(y1 - y0) > TALL:
                self._uprights.append((x0, min(y0, y1), max(y0, y1)))
        self._path += points

    def paint(self, at: int, op: Op) -> None:
        """Note what a path paints; `n` paints nothing."""
        if self._path and op.name != "n":
            stroked = op.name[0] in "SsBb"
            thing = "drawn" if stroked else "filled"
            self.content.paths.append(Drawn(at, self._ctm, thing, _around(self._path), first=self._first))
            self.content.rules += self._uprights if stroked else self._bars
        self._path, self._uprights, self._bars = [], [], []

    def inline(self, at: int, op: Op) -> None:
        self.content.pictures.append(Drawn(at, self._ctm, op.operands.iimage, _unit(self._ctm)))

    def do(self, at: int, op: Op) -> None:
        thing = self._optional("/XObject", str(op.operands[0]))
        if thing is None:
            self.content.void.add(at)
            return
        kind = str(thing.get("/Subtype", ""))
        if self._shared.layers.is_off(thing.get("/OC")):
            self.content.hidden.add(at)
            return
        if kind == "/Image":
            self.content.pictures.append(Drawn(at, self._ctm, thing, _unit(self._ctm)))
        elif kind == "/Form":
            self._form(at, thing)
        else:
            raise NeedsRaster("it shows an object of an unknown kind")

    def _form(self, at: int, form: Any) -> None:
        matrix = turn_of(form["/Matrix"]) if "/Matrix" in form else STILL
        turn = times(matrix, self._ctm)
        own = form.get("/Resources")
        resources = own if own is not None else self.content.resources
        inner = look(form, resources, turn, self._shared, manner=self._manner, depth=self._depth + 1)
        self.content.forms.append(Drawn(at, turn, form, _unit(turn), inner=inner))


_MANNERS = {"Tc": "spacing", "Tw": "word", "Tz": "stretch", "TL": "leading", "Ts": "rise"}


def _says_something(cell: Any, *, text_only: bool = False) -> bool:
    """Tell whether the cell of a pattern, or a letter, shows more than lines and areas."""
    telling = ("Tj", "TJ", "'", '"', "Do") if text_only else ("Tj", "TJ", "'", '"', "Do", "BI")
    return any(op.name in telling for op in parse(cell))


def _around(points: list[tuple[float, float]]) -> Sides:
    across = [x for x, _ in points]
    along = [y for _, y in points]
    return (min(across), min(along), max(across), max(along))


def _unit(turn: Turn) -> Sides:
    return _around([put(turn, x, y) for x in (0.0, 1.0) for y in (0.0, 1.0)])


def around(turn: Turn, sides: Sides) -> Sides:
    """Return the rectangle around a rectangle that was turned."""
    x0, y0, x1, y1 = sides
    return _around([put(turn, x, y) for x in (x0, x1) for y in (y0, y1)])


_STEPS: dict[str, Callable[[_Run, int, Op], None]] = {
    "q": _Run.keep,
    "Q": _Run.take_back,
    "cm": _Run.turn,
    "gs": _Run.settings,
    "scn": _Run.colour,
    "SCN": _Run.colour,
    "cs": _Run.space,
    "CS": _Run.space,
    "sh": _Run.shade,
    "BDC": _Run.mark,
    "BMC": _Run.mark,
    "EMC": _Run.unmark,
    "BT": _Run.begin,
    "Tf": _Run.font,
    "Tc": _Run.manner,
    "Tw": _Run.manner,
    "Tz": _Run.manner,
    "TL": _Run.manner,
    "Ts": _Run.manner,
    "Td": _Run.move,
    "TD": _Run.move,
    "Tm": _Run.place,
    "T*": _Run.next_line,
    "Tj": _Run.show,
    "TJ": _Run.show,
    "'": _Run.show,
    '"': _Run.show,
    "m": _Run.point,
    "l": _Run.point,
    "c": _Run.point,
    "v": _Run.point,
    "y": _Run.point,
    "re": _Run.point,
    "S": _Run.paint,
    "s": _Run.paint,
    "f": _Run.paint,
    "F": _Run.paint,
    "f*": _Run.paint,
    "B": _Run.paint,
    "B*": _Run.paint,
    "b": _Run.paint,
    "b*": _Run.paint,
    "n": _Run.paint,
    "BI": _Run.inline,
    "Do": _Run.do,
}
