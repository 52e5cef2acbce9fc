"""Every address of the site."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from subpixel.site import tus
from subpixel.site.api import api
from subpixel.site.health import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("uploads/", tus.creation, name="uploads"),
    path("uploads/<uuid:pk>", tus.part, name="upload"),
    path("api/v1/", api.urls),
    path("health", health, name="health"),
]
