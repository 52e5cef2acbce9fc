"""Forms that organisers fill in. Moments are those of the contest's zone."""

from __future__ import annotations

from typing import ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from subpixel.challenge.rules import read_text
from subpixel.site.models import Announcement, Contest, Round, Sanction, Submission

MOMENT = "%Y-%m-%dT%H:%M"


def moment() -> forms.DateTimeInput:
    """The browser's own field for a moment, to the minute."""
    return forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MOMENT)


def text(rows: int) -> forms.Textarea:
    """A field for several lines."""
    return forms.Textarea(attrs={"rows": rows})


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(label=_("Reason"), max_length=500)


class ContestForm(forms.Form):
    """A new contest."""

    slug = forms.SlugField(
        label=_("Name in addresses"), help_text=_("Small letters, digits and hyphens, such as sr2027.")
    )
    rules_text = forms.CharField(
        label=_("Rules"),
        widget=forms.Textarea(attrs={"rows": 24, "class": "code", "spellcheck": "false"}),
        initial=read_text,
        help_text=_("A rule file in TOML; this one is of the contest of 2020."),
    )


class RoundForm(forms.ModelForm):
    """A round's times and numbers. `end` is the first moment that does not belong to it."""

    reason = forms.CharField(label=_("Reason"), max_length=500)

    class Meta:
        model = Round
        fields: ClassVar = ["opens", "end", "valid_per_day", "attempts_per_day", "advance", "decimals", "grants"]
        widgets: ClassVar = {"opens": moment(), "end": moment()}
        labels: ClassVar = {
            "opens": _("Opens"),
            "end": _("Closes"),
            "valid_per_day": _("Scored hand-ins a day"),
            "attempts_per_day": _("Attempts a day"),
            "advance": _("Teams that go on"),
            "decimals": _("Decimals shown"),
            "grants": _("Applications for compute"),
        }
        help_texts: ClassVar = {
            "end": _("The first moment that no longer counts."),
            "grants": _("Of a team in this round; empty for no limit."),
        }


class WindowForm(forms.ModelForm):
    """A contest's name, its team window, and how long personal data are kept."""

    reason = forms.CharField(label=_("Reason"), max_length=500)

    class Meta:
        model = Contest
        fields: ClassVar = ["name", "teams_open", "teams_end", "retention_until"]
        widgets: ClassVar = {
            "teams_open": moment(),
            "teams_end": moment(),
            "retention_until": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }
        labels: ClassVar = {
            "name": _("Name"),
            "teams_open": _("Teams are made from"),
            "teams_end": _("Until"),
            "retention_until": _("Erase personal data after"),
        }
        help_texts: ClassVar = {"teams_end": _("The first moment that no longer counts.")}


class BoardForm(forms.Form):
    """What teams see of the board."""

    board = forms.ChoiceField(label=_("Teams see the board"), choices=Round.BOARDS)
    reason = forms.CharField(label=_("Reason"), max_length=500)


class SearchForm(forms.Form):
    """Which hand-ins to list."""

    state = forms.ChoiceField(label=_("State"), choices=[("", _("all")), *Submission.STATES], required=False)
    team = forms.CharField(label=_("Team"), max_length=40, required=False)


class SanctionForm(forms.Form):
    """A decision against a team."""

    kind = forms.ChoiceField(label=_("Sanction"), choices=Sanction.KINDS)
    round = forms.ModelChoiceField(
        Round.objects.none(), label=_("Round"), required=False, empty_label=_("the whole contest")
    )
    reason = forms.CharField(label=_("Reason"), max_length=500, help_text=_("The team reads it."))


class HoursForm(forms.Form):
    """Hours to book."""

    hours = forms.DecimalField(
        label=_("Hours"), max_digits=9, decimal_places=2, help_text=_("Negative for hours that were used.")
    )
    note = forms.CharField(label=_("Note"), max_length=200)


class ReviewForm(forms.Form):
    """Asks a team for its source."""

    round = forms.ModelChoiceField(Round.objects.none(), label=_("Round"), empty_label=None)
    deadline = forms.DateTimeField(label=_("Hand over until"), widget=moment())


class FindingsForm(forms.Form):
    """What a review found."""

    findings = forms.CharField(label=_("Findings"), max_length=500, widget=text(4))


class DecisionForm(forms.Form):
    """A decision and its text."""

    text = forms.CharField(label=_("Decision"), max_length=500, widget=text(2))


class NoteForm(forms.Form):
    """A note, which may be empty."""

    note = forms.CharField(label=_("Note"), max_length=500, required=False)


class NewsForm(forms.ModelForm):
    """News in two languages."""

    class Meta:
        model = Announcement
        fields: ClassVar = ["title_en", "text_en", "title_zh", "text_zh"]
        widgets: ClassVar = {"text_en": text(6), "text_zh": text(6)}
        labels: ClassVar = {
            "title_en": _("Title (English)"),
            "text_en": _("Text (English), in Markdown"),
            "title_zh": _("Title (Chinese)"),
            "text_zh": _("Text (Chinese), in Markdown"),
        }

    def clean(self) -> dict[str, object]:
        """There is a title and a text in a language at least."""
        values = super().clean() or self.cleaned_data
        for part, sentence in (("title", _("Write a title.")), ("text", _("Write a text."))):
            if not (values.get(f"{part}_en") or values.get(f"{part}_zh")):
                raise forms.ValidationError(sentence)
        return values
