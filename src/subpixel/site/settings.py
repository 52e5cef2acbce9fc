"""Django's settings, all from `environment`."""

from __future__ import annotations

from pathlib import Path

from django.utils.translation import gettext_lazy as _

from subpixel.site import environment, logs

SITE = environment.read()
HERE = Path(__file__).parent

SECRET_KEY = SITE.secret
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"] if SITE.local else [SITE.host]
CSRF_TRUSTED_ORIGINS = [SITE.url.rstrip("/")]
ROOT_URLCONF = "subpixel.site.urls"
ASGI_APPLICATION = "subpixel.site.asgi.application"
AUTH_USER_MODEL = "contest.User"

INSTALLED_APPS = [
    "subpixel.site",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "django_htmx",
]
MIDDLEWARE = [
    "subpixel.site.logs.requests",
    "subpixel.site.middleware.policy",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "subpixel.site.bearer.bearer",
    "subpixel.site.middleware.language",
    "subpixel.site.middleware.address",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "subpixel.site.middleware.Refusals",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [HERE / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {"default": environment.database(SITE)}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [HERE / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = SITE.folder / "static"

# What others reach goes by TLS only: the proxy in front says so, and browsers remember it.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = not SITE.local
SECURE_REDIRECT_EXEMPT = ["^health$"]  # asked by the machine itself
SECURE_HSTS_SECONDS = 0 if SITE.local else 365 * 24 * 3600
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SITE.proxies else None
SESSION_COOKIE_NAME = "session" if SITE.local else "__Host-session"
CSRF_COOKIE_NAME = "csrf" if SITE.local else "__Host-csrf"
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 20  # of a form or of JSON; uploads are read in pieces

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]

LOGIN_URL, LOGIN_REDIRECT_URL = "account_login", "home"
ACCOUNT_ADAPTER = "subpixel.site.mailing.Adapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CHANGE_EMAIL = True  # one address a person
ACCOUNT_EMAIL_NOTIFICATIONS = True  # of a changed password or address
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False  # of this browser; all others are logged out
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "http" if SITE.local else "https"
ALLAUTH_TRUSTED_PROXY_COUNT = SITE.proxies

DEFAULT_FROM_EMAIL = SERVER_EMAIL = SITE.sender
globals().update(environment.mail(SITE))

LOGGING = logs.configuration(SITE.secrets)
