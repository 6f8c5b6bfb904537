"""The site's settings, and the only file that reads the environment.

With nothing set it is a development site: SQLite beside this folder, the in-memory channel layer, throw-away keys.
`DEBUG=0` turns it into a production site, which refuses to start without real keys. `.env.example` lists every
variable.
"""

from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    environ.Env.read_env(str(BASE_DIR / ".env"))

DEBUG = env.bool("DEBUG", default=True)

# Keys --------------------------------------------------------------------------------------------------------------

_DEVELOPMENT_KEY = "development-only-key-never-accepted-with-debug-off"
SECRET_KEY = env.str("SECRET_KEY", default=_DEVELOPMENT_KEY)
# Tokens have a key of their own, so that either can be changed without the other.
JWT_SIGNING_KEY = env.str("JWT_SIGNING_KEY", default="")

if not DEBUG:
    if SECRET_KEY == _DEVELOPMENT_KEY or len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5:
        raise ImproperlyConfigured(
            "DEBUG=0 needs a SECRET_KEY of at least 50 random characters: "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )
    if len(JWT_SIGNING_KEY) < 32 or JWT_SIGNING_KEY == SECRET_KEY:
        raise ImproperlyConfigured(
            "DEBUG=0 needs a JWT_SIGNING_KEY of at least 32 random characters that is not the SECRET_KEY: "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )

# Who may call ------------------------------------------------------------------------------------------------------

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# Parts -------------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",  # first: replaces runserver with the ASGI one
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tickets",
    "notifications",
    "project",  # has rules for topics, and nothing else that an app has
]

MIDDLEWARE = [
    "tickets.middleware.UsherMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Where things are kept ---------------------------------------------------------------------------------------------

DATABASE_URL = env.str("DATABASE_URL", default="")
if DATABASE_URL:
    DATABASES = {"default": env.db_url_config(DATABASE_URL)}
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}

DATABASE_THREADS = env.int("TICKETS_DATABASE_THREADS", default=4)
REQUESTS_AT_ONCE = env.int("TICKETS_REQUESTS_AT_ONCE", default=4)

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"] |= {
        # IMMEDIATE: a transaction that will write waits at its start instead of failing in its middle.
        # FULL: in WAL mode NORMAL may lose the last commits at a power cut, and committed is never lost here.
        # 20 s: 64 writers at once were seen to run out of the default 5 s.
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
        # Opening SQLite costs more than a query; its connections hold nothing that others wait for.
        "CONN_MAX_AGE": None,
    }
elif DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"].setdefault("OPTIONS", {})
    # PostgreSQL plans what is said all the time once a connection (see tickets/prepared.py). Behind a
    # pooler that cannot keep prepared statements: DATABASE_URL=…?prepare_threshold=off
    prepare_threshold = DATABASES["default"]["OPTIONS"].get("prepare_threshold", 5)
    # A connection that broke while it was in the pool (a restarted server) is replaced before it is handed out.
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"] |= {
        # Django refuses CONN_MAX_AGE beside a pool. The pool has room for the database threads and for as many requests
        # as are let in at once, so that neither ever waits for a connection.
        # Its default reconnect_timeout lets the pauses between attempts grow: after an outage of 30 s it was seen to
        # find the server again only 27 s after that was back.
        "pool": {"min_size": 1, "max_size": DATABASE_THREADS + REQUESTS_AT_ONCE, "timeout": 5, "reconnect_timeout": 1},
        "connect_timeout": 2,
        "prepare_threshold": prepare_threshold if isinstance(prepare_threshold, int) else None,
    }

REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            # Not the core layer: with redis-py 8 its blocking pop ends idle sockets after 5 s, and it drops silently.
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {
                "hosts": [
                    {
                        "address": REDIS_URL,
                        # A subscriber is silent for as long as nobody publishes: silence must not be a timeout.
                        "socket_timeout": None,
                        "socket_connect_timeout": 2,
                        "health_check_interval": 30,
                    }
                ]
            },
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Usher -------------------------------------------------------------------------------------------------------------

ALLOWED_ORIGINS = env.list("ALLOWED_ORIGINS", default=[])
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# A message broker: docs/clients/rabbitmq.md.
_RABBITMQ = {
    "RABBITMQ_AUTH": env.bool,
    "RABBITMQ_AUTH_NETWORKS": env.list,
    "RABBITMQ_AUTH_TOKENS": env.bool,
    "RABBITMQ_VHOST": env.str,
    "RABBITMQ_URL": env.str,
    "RABBITMQ_MANAGEMENT_URL": env.str,
}

# Only what the environment names is set: each default stands, with its reason, in tickets/conf.py and
# notifications/conf.py.
_TICKETS = {
    "TICKET_SECONDS": env.float,
    "OUTSTANDING": env.int,
    "ISSUE_PER_MINUTE": env.int,
    "ISSUE_BURST": env.int,
    "GRANT_SECONDS": env.float,
    "SESSION_DAYS": env.float,
    "AUDIT_DAYS": env.float,
    "REDEEM_TIMEOUT": env.float,
    "REFRESH_GRACE": env.float,
    "ACCESS_SECONDS": env.float,
    "CARRIERS": env.list,
    "ALLOW_QUERY": env.bool,
    "JID_KEY": env.str,
    "JID_NAME": env.str,
    "JID_ALLOW_QUERY": env.bool,
    "JID_ENFORCE": env.bool,
    "JID_IDENTIFIER": env.str,
    "JID_USER_FIELD": env.str,
    "JID_SECONDS": env.float,
    "NETWORK_POLICY": env.str,
    "REQUIRE_ORIGIN": env.bool,
    "DATABASE_THREADS": env.int,
    "REQUESTS_AT_ONCE": env.int,
    "SIGN_IN_PER_MINUTE_NAME": env.int,
    "SIGN_IN_PER_MINUTE_ADDRESS": env.int,
}
_NOTIFICATIONS = {
    "ON_EXPIRY": env.str,
    "GRACE_SECONDS": env.float,
    "LIFETIME_SECONDS": env.float,
    "AUTHENTICATE_EACH_MESSAGE": env.bool,
    "REAUTH_ATTEMPTS": env.int,
    "REAUTH_SPACING": env.float,
    "AUTHENTICATION_SECONDS": env.float,
    "WINDOW": env.int,
    "ACK_STALL_SECONDS": env.float,
    "PING_SECONDS": env.float,
    "SYNC_SECONDS": env.float,
    "SWEEP_SECONDS": env.float,
    "PRESENCE_SECONDS": env.float,
    "FIGURES_SECONDS": env.float,
    "REPLAY_PAGE": env.int,
    "RETENTION_DAYS": env.float,
    "RETENTION_COUNT": env.int,
    "SOCKETS_PER_USER": env.int,
    "TOPICS_PER_CONNECTION": env.int,
    "SOCKETS_PER_PROCESS": env.int,
    "UNAUTHENTICATED_PER_ADDRESS": env.int,
    "UNAUTHENTICATED_PER_PROCESS": env.int,
    "DRAIN_SECONDS": env.float,
    "COMMANDS_PER_SECOND": env.float,
    "COMMAND_BURST": env.int,
}


def _from_environment(prefix, names):
    return {name: cast(f"{prefix}_{name}") for name, cast in names.items() if f"{prefix}_{name}" in env.ENVIRON}


TICKETS = {
    **({"TOKEN_KEY": JWT_SIGNING_KEY} if JWT_SIGNING_KEY else {}),
    "ALLOWED_ORIGINS": ALLOWED_ORIGINS,
    "TRUSTED_PROXIES": TRUSTED_PROXIES,
    **_from_environment("TICKETS", _TICKETS),
}
NOTIFICATIONS = {
    # On the in-memory layer the sync is the only way between processes (manage.py notify, cron), so it looks twice as
    # often; the query is one row a listening person either way.
    **({} if REDIS_URL else {"SYNC_SECONDS": 1.0}),
    **({"METRICS_TOKEN": METRICS_TOKEN} if METRICS_TOKEN else {}),
    **{name: cast(name) for name, cast in _RABBITMQ.items() if name in env.ENVIRON},
    **_from_environment("NOTIFICATIONS", _NOTIFICATIONS),
}

# For the description of the API: its views ask nothing here, see tickets.rest.StrictView.
REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "tickets.rest.problem_response",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Usher",
    "DESCRIPTION": "Single-use WebSocket tickets and notifications that are never lost.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# People ------------------------------------------------------------------------------------------------------------

# Limits how often names and passwords are tried, wherever that is.
AUTHENTICATION_BACKENDS = ["tickets.backends.PasswordBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "usher:inbox"
LOGOUT_REDIRECT_URL = "login"

# By a cookie, else what the browser asks for. Each but English has its catalogues: see docs/languages.md.
LANGUAGES = [("en", "English"), ("de", "German"), ("ar", "Arabic")]
LANGUAGE_CODE = "en"
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]

# Bodies: the largest honest one (a publication to many) is far below; see also tickets.parsing.StrictJSONParser.
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024

# An incoming frame may be 8 KiB; a little above, so that the refusal can be said in words (code 4506). Without these
# daphne's runserver would take 1 MiB.
DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = 16 * 1024
DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = 16 * 1024

# Behind TLS --------------------------------------------------------------------------------------------------------

# Pages ---------------------------------------------------------------------------------------------------------------

# Everything is a file of ours: no inline script or style, nothing from elsewhere, not framed by anybody. It holds for
# every page, the admin and the API's documentation among them.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "worker-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
if not DEBUG:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    # Probes, metrics and a broker's questions come from inside, over plain HTTP.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$", r"^rabbitmq/auth/"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    LANGUAGE_COOKIE_SECURE = True

# What it says ------------------------------------------------------------------------------------------------------

AUDIT_LOG = env.str("AUDIT_LOG", default="")
# A file of lines that are JSON and nothing else, only ever appended to, and opened anew when it was rotated.
_AUDIT_FILE = {
    "class": "tickets.logs.AuditFile",
    "filename": AUDIT_LOG,
    "formatter": "bare",
    "delay": True,
}

LOG_FORMAT = env.str("LOG_FORMAT", default="plain")
if LOG_FORMAT not in ("plain", "json"):
    raise ImproperlyConfigured("LOG_FORMAT is plain (for people) or json (for programs that collect logs).")
LOG_LEVELS = env.dict("LOG_LEVELS", default={})

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        "json": {"()": "tickets.logs.json_lines"},
        "bare": {"format": "%(message)s"},
    },
    "handlers": {
        "null": {"class": "logging.NullHandler"},
        "console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT},
        **({"audit": _AUDIT_FILE} if AUDIT_LOG else {}),
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # A foreign Host is answered 400; strangers shall not write tracebacks into the log.
        "django.security.DisallowedHost": {"handlers": ["null"], "propagate": False},
        "tickets": {"level": "INFO"},
        **({"tickets.audit": {"handlers": ["audit"], "propagate": False}} if AUDIT_LOG else {}),
        "notifications": {"level": "INFO"},
        "django": {"level": "INFO"},  # named, so that Django's own console handler does not say everything twice
        "daphne.server": {"level": "WARNING"},
        # A refused request is an answer, not a warning to wake somebody for.
        "django.request": {"level": "ERROR"},
        "httpx2": {"level": "WARNING"},  # what commands ask of other sites, each with its address
        # What each notification's number is, for programs: see "Follow one notification" in docs/operations.md.
        "notifications.told": {"level": "INFO" if LOG_FORMAT == "json" else "WARNING"},
        # The servers have handlers of their own, which would say it in their own way. At INFO uvicorn logs the address
        # of every socket with its query string; what is said on its command line does not count beside this.
        "uvicorn": {"handlers": [], "propagate": True, "level": "WARNING"},
        "uvicorn.access": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "propagate": True, "level": "INFO"},
    },
}
for _name, _level in LOG_LEVELS.items():
    LOGGING["loggers"].setdefault(_name, {})["level"] = _level
