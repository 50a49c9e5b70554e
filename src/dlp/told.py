"""What a sandbox child says in plain ASCII, in the words of the people who read it: checks, and why there is no copy.

A clause that is not known here is shown as it is, after a sentence that says what kind of clause it is.
"""

from __future__ import annotations

from dlp.model import Check, Gap, GapKind, Say

CHECKS: dict[str, Say] = {
    "boxes": Say("遮盖完整", "boxes are whole"),
    "bytes": Say("字节中查无脱敏内容", "removed texts are not in the bytes"),
    "carve": Say("无游离数据", "nothing lies beside the objects"),
    "cells": Say("单元格不错位", "cells keep their places"),
    "covered": Say("遮盖下无文字", "no text below the boxes"),
    "detector": Say("另一读取程序复检", "scanned again, read by another reader"),
    "kept-by-hand": Say("人工剔除的内容", "what a reviewer left in"),
    "fidelity": Say("其余画面不变", "the rest looks the same"),
    "fonts": Say("字体无残留", "nothing is left in fonts"),
    "headers": Say("邮件头无残留", "nothing is left in headers"),
    "history": Say("无历史版本", "no history"),
    "ink": Say("遮盖处无残留笔画", "no ink below the boxes"),
    "inspected-again": Say("整件重新检查", "inspected again as a whole"),
    "keys": Say("页面之外无文字", "no text outside of the pages"),
    "left-behind": Say("无多余内容", "nothing is taken along unasked"),
    "members": Say("成员齐全", "the members are those that should be there"),
    "messages": Say("邮件数不变", "the same number of messages"),
    "metadata": Say("属性无残留", "nothing is left in properties"),
    "ocr": Say("图像识别复检", "read again by OCR"),
    "pages": Say("页数不变", "the same number of pages"),
    "parts": Say("部件齐全", "the parts are those that should be there"),
    "pictures": Say("图片无附带数据", "pictures hold nothing but pixels"),
    "places": Say("遮盖位置正确", "boxes are where they should be"),
    "read": Say("各页重新识别", "pages read again"),
    "reopened": Say("另一程序能打开", "opened by another program"),
    "still": Say("无脚本和动作", "nothing in it can act"),
    "untouched": Say("其余成员不变", "other members are unchanged"),
    "verifier": Say("验证程序完成", "the verifier came to its end"),
}
"""First word of a check's name -> what was looked at."""

STOPPED: dict[GapKind, Say] = {
    GapKind.TIMEOUT: Say("脱敏超时", "redacting it took too long"),
    GapKind.CRASHED: Say("脱敏程序中止", "the redactor ended"),
    GapKind.CORRUPT: Say("脱敏程序出错", "the redactor failed"),
    GapKind.TOO_BIG: Say("脱敏超出资源上限", "redacting it takes more than a limit allows"),
    GapKind.TOO_MANY: Say("脱敏超出资源上限", "redacting it takes more than a limit allows"),
    GapKind.ENCRYPTED: Say("文件加密，无法脱敏", "it is encrypted and cannot be redacted"),
}
"""Why no copy was made, where it is not for what the document holds."""

CLAUSES: dict[str, str] = {
    "a cropped picture cannot be written anew": "被裁剪的图片无法重写",
    "a cut lies outside of the text": "要去除的内容与读取时不符",
    "a document is named and not there": "缺少目录中所列的文档",
    "a font of the document cannot be pruned": "有字体无法精简",
    "a font of the document is of a kind that is not pruned here": "有暂不能精简的字体",
    "a member cannot be unpacked": "压缩包中有成员无法解出",
    "a member is a device or a pipe": "压缩包中有设备或管道",
    "a member is of no known type": "压缩包中有未知类型的成员",
    "a part is named and not there": "缺少目录中所列的部件",
    "a part of the message cannot be written anew": "邮件有部分无法重写",
    "a part of the message is broken": "邮件有部分已损坏",
    "a picture is of a kind that is not written here": "含暂不能重写的图片",
    "a removed text stands where nothing can be taken out": "同一内容还出现在不能去除之处",
    "a sign to be removed stands alone": "要去除的是单独的符号",
    "a template is used by pages of several sizes": "模板用于多种大小的页面",
    "an XML part declares a document type": "XML 部件声明了文档类型",
    "an XML part is nested too deep to be written anew": "XML 部件嵌套过深",
    "an XML part uses an entity of its own": "XML 部件使用自定义实体",
    "archives of its kind are not written here": "此类压缩包暂不能重写",
    "cards are redacted as text": "名片按文本脱敏",
    "how a picture is cropped cannot be read": "图片裁剪方式无法读取",
    "it can be taken for several types, and not all of them can be redacted": "可被当作几种类型，并非每种都能脱敏",
    "it carries a digital signature": "含数字签名，改动后签名失效",
    "it has fewer pages than were read": "页数少于读取时",
    "it has sheets of macros or dialogs": "含宏表或对话框表",
    "it is a text with marks in it, not a page": "是带标记的文本，不是网页",
    "it needs a password": "需要口令",
    "its notes or fields are damaged": "批注或域已损坏",
    "its pages are made by a form program": "页面由动态表单生成",
    "its structure is damaged": "结构已损坏",
    "nothing tells where on its page a text stands": "文字在页面上的位置无法确定",
    "pictures of its kind are not written here": "此类图片暂不能重写",
    "several characters are drawn as one glyph where something is to be removed": "要去除之处几个字符合成一个字形",
    "text stands between the rows of a sheet": "表格行之间有文字",
    "the archive is broken or cut off": "压缩包已损坏或不完整",
    "the characters of the text do not fit its bytes one by one": "文字与字节不能逐一对应",
    "the glyphs of a text cannot be told apart": "文字的字形无法区分",
    "the package does not say what it is": "文件包没有写明类型",
    "the package has no root": "文件包没有根部件",
    "the package names no main part of its kind": "文件包没有所属类型的主部件",
    "the packed data is broken or cut off": "压缩数据已损坏或不完整",
    "the page is empty, or its document type says something": "网页为空，或文档类型声明有内容",
    "the page is nested too deep, or is none": "网页嵌套过深，或不是网页",
    "the page has names or signs that cannot be written anew": "网页中有无法重写的名称或符号",
    "the page is nothing but one element that is not taken along": "网页只有一个不予保留的元素",
    "the picture has more pixels than the limit": "图片像素超出上限",
    "the picture is broken or cut off, or cannot be written anew": "图片已损坏、不完整或无法重写",
    "the text can no longer be read": "文字无法再读出",
    "the text of a part can no longer be read": "部件的文字无法再读出",
    "there is no room to lay a line anew, and its width would tell what was removed": "重排一行的空间不足",
    "too many texts are told by the same place": "同一处对应的文字过多",
    "too many texts would have to be looked for in its other readings": "按其他类型复查的文字过多",
    "two members have the same name": "有两个成员同名",
    "what is to be removed has no place in its picture": "要去除的内容在图片上没有位置",
    "what is to be removed is not in the text of a page": "要去除的内容不在页面文字中",
    "what is to be removed is not where it was read": "要去除的内容与读取时不符",
    "what is to be removed is the name of an element": "要去除的内容是元素名称",
    "what is to be removed is written in escapes or in another encoding": "要去除的内容以转义或其他编码写成",
    "what is to be removed lies beside its picture": "要去除的内容在图片之外",
}
"""What a redactor says when it cannot take something out."""
_NO_WAY = "there is no redaction for "

UNSTAMPED: dict[str, str] = {
    "a page cannot be drawn": "有页面无法显示",
    "a page has no free place for a stamp": "有页面的页边没有空白处",
    "a page leaves too many states open": "有页面内容不规范",
    "it can be taken for several types": "可被当作几种类型",
    "it needs a password": "需要口令",
    "its page tree is damaged": "页面结构已损坏",
    "its structure is damaged": "结构已损坏",
    "the content of a page is damaged": "有页面内容已损坏",
}
"""What a format says when its pages cannot carry a stamp."""
_NO_STAMP = "there is no stamping for "


def check(made: Check) -> Say:
    """Return what was looked at: `reopened:pdfminer` is 另一程序能打开（pdfminer）."""
    head, _, tail = made.name.partition(":")
    say = CHECKS.get(head, Say(head, head))
    if tail == "rest":
        return Say(f"{say.zh}（其余部分）", f"{say.en} (the rest)")
    return Say(f"{say.zh}（{tail}）", f"{say.en} ({tail})") if tail else say


def failed(made: Check) -> Say:
    """Return that a check failed, and how."""
    say = check(made)
    tail = Say(f"：{made.detail}", f": {made.detail}") if made.detail else Say("", "")
    return Say(f"未满足“{say.zh}”{tail.zh}", f"{made.name}{tail.en}")


def stopped(gap: Gap) -> Say:
    """Return why no redacted copy was made."""
    if gap.kind in STOPPED:
        why = STOPPED[gap.kind]
        return Say(f"{why.zh}（{gap.detail}）", f"{why.en} ({gap.detail})")
    zh = CLAUSES.get(gap.detail, f"其中有内容无法安全去除（{gap.detail}）")
    if gap.detail.startswith(_NO_WAY):
        zh = f"此类文件暂不能脱敏：{gap.detail.removeprefix(_NO_WAY)}"
    return Say(zh, f"it cannot be redacted: {gap.detail}")


def unstamped(gap: Gap) -> Say:
    """Return why there is no stamped copy; what was to be stamped is then not released."""
    zh = UNSTAMPED.get(gap.detail, gap.detail)
    if gap.detail.startswith(_NO_STAMP):
        zh = f"只有 PDF 能加盖，此为 {gap.detail.removeprefix(_NO_STAMP)}"
    return Say(f"无法加盖印记，未放行：{zh}", f"it cannot be stamped and was not released: {gap.detail}")
