"""The site as an ASGI application."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from subpixel.site.edge import limited, remembered

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "subpixel.site.settings")
settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # else WhiteNoise warns of it
application = limited(remembered(get_asgi_application()))
