"""System checks of what a site has around this room: what is missing there, and the line that mends it."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import LocalePrefixPattern, NoReverseMatch, get_resolver, reverse

from .live import ears
from .servers import mending

PROCESSORS = ("django.template.context_processors.request", "django.contrib.auth.context_processors.auth")


@register("notifications")
def check_urls(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    try:
        reverse("usher:inbox")
    except NoReverseMatch:
        hint = 'urlpatterns += [path("usher/", include("notifications.site_urls"))], under whatever prefix you like.'
        return [Error("ROOT_URLCONF does not include Usher's URLs.", hint=hint, id="notifications.E006")]
    for each in get_resolver().url_patterns:
        if isinstance(each.pattern, LocalePrefixPattern) and "usher" in getattr(each, "namespace_dict", ()):
            hint = "Include them outside of it: pages are in the person's language anyway, and a socket has none."
            return [Error("Usher's URLs are inside of i18n_patterns().", hint=hint, id="notifications.E007")]
    return []


@register("notifications")
def check_templates(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    try:
        template: Any = get_template("usher/inbox.html")
    except TemplateDoesNotExist:
        hint = 'TEMPLATES needs a DjangoTemplates backend with "APP_DIRS": True.'
        return [Error("The templates of the app notifications are not found.", hint=hint, id="notifications.E008")]
    known = template.backend.engine.context_processors
    return [
        Error(
            f"TEMPLATES has not the context processor {name}.",
            hint="Usher's pages need it; its tags in your own templates do not.",
            id="notifications.E009",
        )
        for name in PROCESSORS
        if name not in known
    ]


@register("notifications")
def check_asgi(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    name = getattr(settings, "ASGI_APPLICATION", None)
    if not name:
        hint = 'ASGI_APPLICATION = "mysite.asgi.application", made there by notifications.asgi.with_usher().'
        return [Error("ASGI_APPLICATION is not set: nothing serves sockets.", hint=hint, id="notifications.E010")]
    # Read, and not imported: that makes every middleware there is, for each command of manage.py.
    if "with_usher" in _source_of(name.rpartition(".")[0]):
        return []
    hint = "There: application = with_usher(get_asgi_application()). Silence this if it is made elsewhere."
    message = f"The module of {name} does not say with_usher: who serves the socket?"
    return [checks.Warning(message, hint=hint, id="notifications.W002")]


def _source_of(module: str) -> str:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    return Path(spec.origin).read_text() if spec and spec.origin else ""


@register(Tags.security, deploy=True)
def check_serving(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [*_servers(), *_layer()]


def _servers() -> Iterator[CheckMessage]:
    for name, version in mending.unknown().items():
        hint = f"Use {mending.KNOWN[name]}x: other versions keep weaknesses that are mended in it."
        yield checks.Warning(f"{name} {version} is not one that Usher knows.", hint=hint, id="notifications.W003")


def _layer() -> Iterator[CheckMessage]:
    if not ears.is_there():
        hint = (
            "Use channels_redis.pubsub.RedisPubSubChannelLayer or, for one process, "
            "channels.layers.InMemoryChannelLayer."
        )
        message = "Without CHANNEL_LAYERS other processes hear of a notification some seconds late."
        yield checks.Warning(message, hint=hint, id="notifications.W004")
