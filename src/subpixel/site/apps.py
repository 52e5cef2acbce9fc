"""The site as a Django application."""

from django.apps import AppConfig


class Site(AppConfig):
    """Tables carry the label `contest`."""

    name = "subpixel.site"
    label = "contest"
    default_auto_field = "django.db.models.BigAutoField"
