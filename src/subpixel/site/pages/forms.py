"""Forms that teams fill in."""

from __future__ import annotations

from typing import ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from subpixel.site.models import ApiToken, User


class TeamForm(forms.Form):
    """A new team and what it declares."""

    name = forms.CharField(label=_("Name"), min_length=2, max_length=40)
    framework = forms.CharField(
        label=_("Framework"), max_length=60, required=False, help_text=_("What your solution is trained with.")
    )
    given_data_only = forms.BooleanField(
        label=_("We use only the given data for training"), required=False, help_text=_("A code review looks at it.")
    )


class NameForm(forms.Form):
    """Another name of a team."""

    name = forms.CharField(label=_("Name"), min_length=2, max_length=40)


class DeclarationForm(forms.Form):
    """What a team declares."""

    framework = TeamForm.base_fields["framework"]
    given_data_only = TeamForm.base_fields["given_data_only"]


class InviteForm(forms.Form):
    """Whom to invite."""

    email = forms.EmailField(label=_("E-mail address"))


class FileForm(forms.Form):
    """A file that a browser sends in one piece."""

    file = forms.FileField(label=_("File"))


class PurposeForm(forms.Form):
    """What a team wants hours of compute for."""

    purpose = forms.CharField(label=_("What for"), max_length=2000, widget=forms.Textarea(attrs={"rows": 4}))


class StatementForm(forms.Form):
    """What comes with source code."""

    statement = forms.CharField(
        label=_("Statement"),
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("How to reproduce your hand-in: versions, data, seeds, commands, hours on which machine."),
    )


class ProfileForm(forms.ModelForm):
    """What a person says of themself."""

    class Meta:
        model = User
        fields: ClassVar = ["name", "locale", "shirt", "mails"]
        help_texts: ClassVar = {
            "name": _("Your team and the organisers see it."),
            "locale": _("Of mails to you."),
            "shirt": _("For the T-shirt that everyone who hands in gets; only organisers see it."),
            "mails": _("Mails about your account, your team and reviews come in any case."),
        }


class TokenForm(forms.Form):
    """A new token of the API."""

    name = forms.CharField(label=_("Name"), max_length=60, help_text=_("So that you know it again."))
    scope = forms.ChoiceField(label=_("Allows to"), choices=ApiToken.SCOPES)
    days = forms.TypedChoiceField(
        label=_("Ends after"),
        coerce=int,
        choices=[(7, _("7 days")), (30, _("30 days")), (90, _("90 days"))],
        initial=30,
    )
