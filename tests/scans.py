"""Scanned pages for tests, drawn: an official document with a mark, a seal, numbers, as a copier would give it."""

from __future__ import annotations

import io
import math
import random
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONT = next(
    (
        path
        for path in (
            Path("/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc"),
            Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
            Path("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc"),
        )
        if path.exists()
    ),
    None,
)
needs_font = pytest.mark.skipif(FONT is None, reason="no font with Chinese characters is installed (fonts-noto-cjk)")

A4 = (8.27, 11.69)  # inches
BODY = (
    "各区、县（市）人民政府，市政府各部门、各直属单位：为进一步加强本市重点项目建设管理工作，提高资金使用效益，"
    "经市政府常务会议研究同意，现将有关事项通知如下。一、统一思想，提高认识。各单位要充分认识项目建设的重要意义，"
    "切实增强责任感和紧迫感。二、明确任务，落实责任。项目法人单位对工程质量、安全、进度负总责，监理单位依法履行职责。"
    "三、严格程序，规范管理。工程变更须按规定报批，未经批准不得擅自调整建设内容和投资规模，违者依法追究责任。"
    "四、加强监督，确保廉洁。审计机关应当对项目资金进行跟踪审计，纪检监察机关应当加强对关键环节的监督检查。"
)


class Scan(NamedTuple):
    """One scanned page: the picture, the text that stands on it, and the numbers among it."""

    image: Image.Image
    text: str
    mark: str
    number: str

    def encoded(self, kind: str = "PNG", **options: object) -> bytes:
        """Return the picture as a file."""
        out = io.BytesIO()
        self.image.save(out, kind, **options)
        return out.getvalue()


def page(
    *,
    mark: str = "秘密★5年",
    number: str = "11010119900307301X",
    dpi: int = 200,
    skew: float = 0.0,
    turn: int = 0,
    seal: bool = False,
    noise: int = 0,
    blur: float = 0.0,
    vertical: bool = False,
    seed: int = 1,
) -> Scan:
    """Return an A4 page of an official document. `turn` is degrees counter-clockwise, `skew` as well."""
    assert FONT is not None
    width, height = (round(side * dpi) for side in A4)
    image = Image.new("RGB", (width, height), (252, 252, 248))
    draw = ImageDraw.Draw(image)
    unit = dpi / 72

    def font(points: float) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(str(FONT), round(points * unit), index=2)

    said: list[str] = []

    def say(x: float, y: float, text: str, points: float, colour: tuple[int, int, int] = (25, 25, 25)) -> None:
        draw.text((x * unit, y * unit), text, font=font(points), fill=colour)
        said.append(text)

    left, body = 79.0, 16.0  # points: the zones of GB/T 9704-2012
    say(left, 99, mark, body)
    say(137, 160, "某某市人民政府文件", 36, (200, 20, 20))
    say(230, 225, "某政发〔2026〕18号", body)
    draw.line((left * unit, 255 * unit, (595 - left) * unit, 255 * unit), fill=(200, 20, 20), width=round(1.5 * unit))
    say(150, 285, "关于加强项目管理工作的通知", 22)
    lines = []
    text = BODY + f"联系人张某，身份证号{number}，联系电话13800138000。"
    per = 27
    if vertical:
        column = 500.0
        for at in range(0, 120, 20):
            for step, letter in enumerate(text[at : at + 20]):
                draw.text((column * unit, (330 + 20 * step) * unit), letter, font=font(body), fill=(25, 25, 25))
            lines.append(text[at : at + 20])
            column -= 30
    else:
        for row, at in enumerate(range(0, len(text), per)):
            line = text[at : at + per]
            draw.text((left * unit, (330 + 28 * row) * unit), line, font=font(body), fill=(25, 25, 25))
            lines.append(line)
    said += lines
    say(400, 745, "2026年11月18日", body)
    if seal:
        overlay = Image.new("RGBA", image.size, (0, 0, 0, 0))
        pen = ImageDraw.Draw(overlay)
        middle, radius = (460 * unit, 735 * unit), 60 * unit
        box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
        pen.ellipse(box, outline=(215, 30, 30, 190), width=round(3 * unit))
        star = []
        for step in range(10):
            reach = 18 * unit if step % 2 == 0 else 7 * unit
            angle = math.pi * step / 5 - math.pi / 2
            star.append((middle[0] + reach * math.cos(angle), middle[1] + reach * math.sin(angle)))
        pen.polygon(star, fill=(215, 30, 30, 190))
        image = Image.alpha_composite(image.convert("RGBA"), overlay).convert("RGB")
    if blur:
        image = image.filter(ImageFilter.GaussianBlur(blur * dpi / 150))
    if noise:
        dice = random.Random(seed)
        grain = Image.effect_noise(image.size, noise).convert("L")
        image = Image.blend(image, Image.merge("RGB", (grain, grain, grain)), 0.06 + 0.01 * dice.random())
    if skew:
        image = image.rotate(skew, resample=Image.Resampling.BICUBIC, fillcolor=(252, 252, 248))
    if turn:
        image = image.rotate(turn, expand=True)
    return Scan(image, "\n".join(said), mark, number)


def jpeg(scan: Scan, quality: int = 75) -> Scan:
    """Return the scan as a copier packs it."""
    packed = Image.open(io.BytesIO(scan.encoded("JPEG", quality=quality)))
    packed.load()
    return scan._replace(image=packed)
