"""Every address of the site."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from subpixel.site import tus

urlpatterns: list[URLPattern | URLResolver] = [
    path("uploads/", tus.creation, name="uploads"),
    path("uploads/<uuid:pk>", tus.part, name="upload"),
]
