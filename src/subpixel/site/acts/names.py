"""Names of teams, and which of them look the same."""

from __future__ import annotations

import re
import unicodedata

from django.utils.translation import gettext as _

from subpixel.site.refusals import Refusal

SHORTEST, LONGEST = 2, 40
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")
_PAIRS = (
    "аa вb еe кk мm нh оo рp сc тt уy хx ѕs іl јj һh ӏl ԁd ԛq ԝw ьb "
    "αa βb εe ζz ηh ιl κk μm νv οo ρp τt υy χx ωw ϲc ϳj 0o 1l !l |l ıl il"
)
_LOOKS = {ord(pair[0]): pair[1] for pair in _PAIRS.split()}


def clean(name: str) -> str:
    """A name in normal form. Raises Refusal for one too short or long, with signs that cannot be seen, that begins with
    neither letter nor digit, or that mixes scripts which look alike.
    """
    name = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", name)).strip()
    if not SHORTEST <= len(name) <= LONGEST:
        text = _("A team's name has %(shortest)d to %(longest)d characters, not %(length)d.")
        values = {"shortest": SHORTEST, "longest": LONGEST, "length": len(name)}
        raise Refusal("name_length", text % values, 422)
    if not name.isprintable() or any(unicodedata.category(sign) == "Cf" for sign in name) or not name[0].isalnum():
        raise Refusal("name", _("A team's name begins with a letter or digit and has no invisible characters."), 422)
    if len(_scripts(name)) > 1:
        raise Refusal("name_scripts", _("A team's name must not mix Latin, Cyrillic and Greek letters."), 422)
    return name


def key(name: str) -> str:
    """What names that look the same have in common; it has no spaces."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    letters = (sign for sign in folded if unicodedata.category(sign) not in ("Cf", "Zs", "Mn"))
    return "".join("-" if unicodedata.category(sign) == "Pd" else sign for sign in letters).translate(_LOOKS)


def _scripts(name: str) -> set[str]:
    words = (unicodedata.name(sign, "").split(" ")[0] for sign in name if sign.isalpha())
    return {word for word in words if word in _SCRIPTS}
