"""Every sentence of the site has a Chinese one, and the compiled catalogue is that of the written one."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

import subpixel.site
from subpixel.challenge.problems import CODES

SITE = Path(subpixel.site.__file__).parent
CATALOGUE = SITE / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
CALLS = {"_", "gettext", "gettext_lazy"}


def written() -> dict[str, str]:
    """The catalogue, by the English text (with its context in front, as gettext has it)."""
    found: dict[str, str] = {}
    for block in CATALOGUE.read_text(encoding="utf-8").split("\n\n"):
        parts: dict[str, str] = {}
        for line in re.sub('"\n"', "", block).splitlines():
            if match := re.fullmatch(r'(msg\w+)(?:\[0\])? (".*")', line):
                parts[match[1]] = ast.literal_eval(match[2])
        context = parts["msgctxt"] + "\x04" if "msgctxt" in parts else ""
        found[context + parts["msgid"]] = parts["msgstr"]
    return found


def in_templates() -> Iterator[str]:
    text = r"""(u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*")"""
    call = re.compile(rf"\b(p?)n?(?:gettext|_)\({text}(?:, ?{text})?")
    for path in SITE.glob("templates/**/*.html"):
        for context, first, second in call.findall(templatize(path.read_text(encoding="utf-8"))):
            yield ast.literal_eval(first) + ("\x04" + ast.literal_eval(second) if context else "")


def in_programs() -> Iterator[str]:
    for path in SITE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in CALLS and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield first.value


def test_no_sentence_of_the_programs_lacks_its_chinese() -> None:
    assert set(in_programs()) - written().keys() == set()


def test_no_sentence_of_the_pages_lacks_its_chinese() -> None:
    assert len(set(in_templates())) > 300
    assert set(in_templates()) - written().keys() == set()


def test_no_code_of_the_validator_lacks_its_chinese() -> None:
    assert set(CODES.values()) - written().keys() == set()


def test_translations_are_there_and_keep_what_is_filled_in() -> None:
    fillings = re.compile(r"%\(\w+\)|\{\w+\}")
    for english, chinese in written().items():
        if english:
            assert chinese, english
            assert set(fillings.findall(english)) >= set(fillings.findall(chinese)) or "count" in chinese, english


def test_the_compiled_catalogue_is_the_written_one() -> None:
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for english, chinese in written().items():
        context, _, text = english.rpartition("\x04")
        if not english:
            continue
        assert (compiled.pgettext(context, text) if context else compiled.gettext(text)) == chinese or (
            compiled.ngettext(text, "", 2) == chinese
        )
