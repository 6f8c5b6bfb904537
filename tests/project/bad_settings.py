"""Sites on which everything is wrong that can be wrong at once; `BAD` says which of them. For the doctor.

There cannot be fewer than four. CHANNEL_LAYERS is wrong in four ways of which a site can have one: there is none, or
one in memory, or one that is not heard, or one whose Redis is bad. DATABASES is, too: SQLite as it comes, PostgreSQL
that is set up badly, one that is away, or another product.

No server is started with these. What stands beside a value is the id of what the doctor has to say of it.
"""

import logging
import os
from datetime import timedelta

import time_machine

from notifications.servers import mending
from project.settings import *  # noqa: F403 - all of them
from project.settings import INSTALLED_APPS, LOGGING, MIDDLEWARE, TEMPLATES
from tickets import advisories

DEBUG = False
SECRET_KEY = "Not9LongEnough!"
_PLACE = os.environ["BAD_PLACE"]  # a folder of the test's
_BAD = os.environ["BAD"]


def _without(*parts):
    return [name for name in MIDDLEWARE if not name.endswith(parts)]


def _audited_to(handler, path):
    return LOGGING | {
        "handlers": LOGGING["handlers"]
        | {"audit": {"class": handler, "filename": path, "delay": True, "formatter": "bare"}},
        "loggers": LOGGING["loggers"] | {"tickets.audit": {"handlers": ["audit"], "propagate": False}},
    }


_POSTGRESQL = DATABASES["default"] if "postgresql" in DATABASES["default"]["ENGINE"] else {}  # noqa: F405
_SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}

if _BAD == "settings":
    ALLOWED_HOSTS = ["*"]  # tickets.W008
    USE_TZ = False  # tickets.E019
    MIDDLEWARE = _without("UsherMiddleware", ".AuthenticationMiddleware")  # tickets.E017, tickets.E018
    AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]  # tickets.W006
    STATIC_ROOT = f"{_PLACE}/nowhere"  # tickets.W021
    LOGGING = _audited_to("logging.FileHandler", f"{_PLACE}/later/audit.jsonl")  # tickets.W017, tickets.E022
    ROOT_URLCONF = "tickets.urls"  # notifications.E006
    TEMPLATES = [{**TEMPLATES[0], "DIRS": [], "APP_DIRS": False}]  # notifications.E008
    ASGI_APPLICATION = None  # notifications.E010
    DATABASES = {
        "default": {
            **_POSTGRESQL,
            "OPTIONS": {
                "isolation_level": 4,  # psycopg's SERIALIZABLE: tickets.W018
                "pool": {"min_size": 1, "max_size": 500, "timeout": 5},  # tickets.W019
            },
        }
    }
    TICKETS = {
        "MISSPELLED": 1,  # tickets.E001
        "NETWORK_POLICY": "strict",  # tickets.E002
        "OUTSTANDING": 0,  # tickets.E003
        "ALLOWED_ORIGINS": ["nonsense", "http://app.example"],  # tickets.E004, tickets.W009
        "TRUSTED_PROXIES": ["10.0.0.1/8", "0.0.0.0/0"],  # tickets.E005, tickets.W010
        "SOCKET_PATH": "ws",  # tickets.E006
        "TOKEN_KEY": SECRET_KEY,  # tickets.E007, tickets.E008
        "CARRIERS": [],  # tickets.E011
        "JID_KEY": "Not8Long,Either",  # tickets.E012
        "JID_USER_FIELD": "first_name",  # tickets.E014
        "JID_NAME": "ticket",  # tickets.E015
        "TICKET_SECONDS": 1,  # tickets.W001
        "ALLOW_QUERY": True,  # tickets.W002
        "JID_ALLOW_QUERY": True,  # tickets.W004
        "GRANT_SECONDS": 10_000_000,  # tickets.W013
        "REFRESH_GRACE": 10_000,  # tickets.W014
    }
    NOTIFICATIONS = {
        "MISSPELLED": 1,  # notifications.E003
        "ON_EXPIRY": "never",  # notifications.E001
        "COMMAND_BURST": 0,  # notifications.E002
        "AUTHENTICATE_EACH_MESSAGE": "yes",  # notifications.E005
        "KINDS": {"No Kind": "?"},  # notifications.E011
        "GRACE_SECONDS": 100_000,  # notifications.W005
        "WINDOW": 1_000,  # notifications.W006
        "DRAIN_SECONDS": 300,  # notifications.W007
        "PING_SECONDS": 300,  # notifications.W008
        "UNAUTHENTICATED_PER_ADDRESS": 1_000,  # notifications.W009
        "SOCKETS_PER_PROCESS": 1_000_000_000,  # notifications.W011
        "RABBITMQ_AUTH": "yes",  # notifications.E016, notifications.W015
        "RABBITMQ_AUTH_NETWORKS": ["everywhere"],  # notifications.E017
    }
    # A clock that is an hour late: tickets.W020.
    time_machine.travel(timedelta(hours=-1), tick=True).start()
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {
                "hosts": [
                    os.environ["REDIS_URL"],  # nobody's: notifications.E012
                    os.environ["BAD_REDIS"],  # slow, and old: notifications.W012, notifications.W013
                ]
            },
        }
    }

if _BAD == "leftovers":
    SECURE_SSL_REDIRECT = True
    DATABASES = {"default": _SQLITE}  # tickets.W007; and tickets.E021: nobody migrated it
    CHANNEL_LAYERS = {}  # notifications.W004
    ROOT_URLCONF = "tests.notifications.translated_urls"  # notifications.E007
    TEMPLATES = [{**TEMPLATES[0], "OPTIONS": {"context_processors": TEMPLATES[0]["OPTIONS"]["context_processors"][1:]}}]
    # ^ notifications.E009
    ASGI_APPLICATION = "tests.project.bad_settings.application"  # notifications.W002
    LOGGING = _audited_to("tickets.logs.AuditFile", f"{_PLACE}/large.jsonl")  # tickets.W022
    STATIC_ROOT = _PLACE
    TICKETS = {  # no TOKEN_KEY: tickets.W005; no TRUSTED_PROXIES: tickets.W011
        "JID_ENFORCE": True,  # tickets.E013
        "NETWORK_POLICY": "off",  # tickets.W003
    }
    NOTIFICATIONS = {"ON_EXPIRY": "ignore"}  # notifications.W001
    mending.KNOWN.update(dict.fromkeys(("daphne", "uvicorn"), "0."), daphne="0.")  # notifications.W003, of daphne

if _BAD == "services":
    DATABASES = {
        "default": _POSTGRESQL
        | {"OPTIONS": {"pool": {"min_size": 1, "max_size": 2, "timeout": 2}, "connect_timeout": 1}}
    }  # tickets.W015
    # … and DATABASE_URL is nobody's: tickets.E020
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}  # notifications.W010
    STATIC_ROOT = _PLACE
    TICKETS = {
        "TRUSTED_PROXIES": ["unix"],
        "TOKEN_KEY": "secretsecretsecretsecretsecretsecretsecret",  # tickets.W012
    }
    # What this is run with has no hole that is known: one is made up. tickets.W016
    advisories.ADVISORIES = (advisories.Advisory("Django", "", "999", "CVE-2999-1", "GHSA-0", "made up"),)
    # --url is nobody's: notifications.E013

if _BAD == "strangers":
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}  # notifications.E004
    DATABASES = {"default": DATABASES["default"] | {"ENGINE": "tests.project.untried"}}  # tickets.W023
    INSTALLED_APPS = [*INSTALLED_APPS, "tests.project.people"]
    AUTH_USER_MODEL = "people.Person"  # tickets.E010, tickets.E016
    STATIC_ROOT = _PLACE
    TICKETS = {"TRUSTED_PROXIES": ["unix"], "TOKEN_KEY": "k4x9-Zq81mVw_7tRb2Lc0pNs6YdHuEfA3gJi5oTzPQ"}
    # --url is a site's whose proxy ends TLS and does not say so. It takes its socket for one in the clear, and that is
    # not there: notifications.W014, notifications.E014, notifications.E015

logging.disable(logging.CRITICAL)  # what the doctor says is what counts
