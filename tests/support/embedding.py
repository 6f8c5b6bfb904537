"""A Django project that has never heard of Usher, and what docs/embedding.md says to add to it.

    wheel = build_wheel(directory)
    host = Host(directory, wheel)                   # what `startproject` makes, and a little life of its own
    host.follow("Ten lines")                        # the code of that chapter, each at the end of its file
    host.manage("migrate")
    with host.serve("manage.py", "runserver", "--noreload", …) as server: …

It runs in a virtual environment of its own that has the packages of this one, and the wheel in place of the checkout.
"""

import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.support import canary
from tests.support.processes import ROOT, Process, free_port
from tests.support.stack import site_environment

PAGE = ROOT / "docs" / "embedding.md"

# What the project is like before. None of its conventions suits us.
SETTINGS = """
import os

LOGIN_URL = "admin:login"
TIME_ZONE = "Asia/Kathmandu"
TEMPLATES[0]["DIRS"] = [BASE_DIR / "templates"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SIMPLE_JWT = {"SIGNING_KEY": SECRET_KEY, "TOKEN_TYPE_CLAIM": None, "USER_ID_CLAIM": "sub"}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"anon": "1/day"},
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.StaticHTMLRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"],
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.QueryParameterVersioning",
    "ALLOWED_VERSIONS": ["none"],
    "DEFAULT_VERSION": "of ours",
    "EXCEPTION_HANDLER": "no.such.handler",
    "UNAUTHENTICATED_USER": None,
    "NON_FIELD_ERRORS_KEY": "all",
    "DATETIME_FORMAT": "%d.%m.%Y",
    "COERCE_BIGINT_TO_STRING": True,
    "COMPACT_JSON": False,
}
if os.environ.get("POLICY"):
    MIDDLEWARE += ["mysite.pages.with_policy"]
"""
PAGES = """
import os

from django.http import HttpResponse
from django.shortcuts import render


def icon(request):
    return HttpResponse(status=204)


def home(request):
    return render(request, "home.html")


def with_policy(get_response):
    def respond(request):
        response = get_response(request)
        response.headers["Content-Security-Policy"] = os.environ["POLICY"]
        return response

    return respond
"""
URLS = """
from django.contrib.staticfiles.urls import staticfiles_urlpatterns

from mysite import pages

urlpatterns += [path("", pages.home), path("favicon.ico", pages.icon), *staticfiles_urlpatterns()]
"""
BASE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>A site</title></head>
<body>{% block content %}{% endblock %}</body>
</html>
"""
HOME = '{% extends "base.html" %}{% block content %}<h1>Welcome</h1>{% endblock %}'


def build_wheel(directory: Path) -> Path:
    """What `make package` does, without leaving anything in the checkout."""
    run(
        sys.executable,
        "-m",
        "pip",
        *QUIET,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        f"--wheel-dir={directory}",
        ROOT,
    )
    (wheel,) = directory.glob("*.whl")
    return wheel


QUIET = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-cache-dir")


def chapters() -> dict[str, list[tuple[str, str, str]]]:
    """The blocks of the page: (language, file, code), the file as the block's first line names it, by chapter."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for chapter in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        title, _, text = chapter.partition("\n")
        found[title] = []
        for language, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            named = re.match(r"(?:# |\{# )(\w+\.\w+)(?: #\})?\n", code)
            found[title].append((language, named[1] if named else "", code[named.end() :] if named else code))
    return found


def run(*command: str | Path, **options: object) -> str:
    """To its end. Returns what it printed; a failure raises with it."""
    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run([*map(str, command)], **how | {"cwd": "/", "timeout": 120, "check": False} | options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Host:
    """The project, in a directory of its own."""

    def __init__(self, directory: Path, wheel: Path) -> None:
        self.directory = directory
        self.python = directory / "venv" / "bin" / "python"
        self.env = {
            name: value for name, value in site_environment().items() if not name.startswith(("PYTHON", "DJANGO"))
        }
        canary.present.watch(directory)
        self._install(wheel)
        self._start_project()

    def _install(self, wheel: Path) -> None:
        venv.create(self.directory / "venv", symlinks=True)
        packages = Path(self._ask("import sysconfig; print(sysconfig.get_path('purelib'))"))
        (packages / "beside.pth").write_text(sysconfig.get_path("purelib"))
        install = ("install", "--no-deps", "--no-index", "--no-compile")
        run(sys.executable, "-m", "pip", f"--python={self.python}", *QUIET, *install, wheel)
        where = self._ask("import notifications, tickets; print(notifications.__file__, tickets.__file__)")
        assert all(path.startswith(str(packages)) for path in where.split()), where

    def _ask(self, program: str) -> str:
        return run(self.python, "-c", program, env=self.env, cwd=self.directory).strip()

    def _start_project(self) -> None:
        run(self.python, "-m", "django", "startproject", "mysite", ".", env=self.env, cwd=self.directory)
        (self.directory / "templates").mkdir()
        (self.directory / "templates" / "base.html").write_text(BASE)
        (self.directory / "templates" / "home.html").write_text(HOME)
        (self.directory / "mysite" / "pages.py").write_text(PAGES)
        self.append("settings.py", SETTINGS)
        self.append("urls.py", URLS)

    def append(self, name: str, code: str) -> None:
        with (self.directory / "mysite" / name).open("a") as file:
            file.write(f"\n{code}")

    def follow(self, chapter: str) -> list[str]:
        """Do what a chapter of the page says to. Returns the lines of code that this took."""
        lines = []
        for language, name, code in chapters()[chapter]:
            if language == "python" and name:
                self.append(name, code)
            elif language == "django" and name:
                self._put_into_template(name, *code.splitlines())
            else:
                continue
            lines += [line for line in code.splitlines() if line.strip() and not line.startswith("#")]
        return lines

    def _put_into_template(self, name: str, load: str, head: str, body: str) -> None:
        path = self.directory / "templates" / name
        page = path.read_text().replace("</head>", f"{head}</head>").replace("</body>", f"{body}</body>")
        path.write_text(f"{load}{page}")

    def manage(self, *arguments: str, **env: str) -> str:
        return run(self.python, "manage.py", *arguments, env=self.env | env, cwd=self.directory)

    def serve(self, *command: str, **env: str) -> Process:
        """A server; `PORT` in the command is its port, which `port` is then."""
        self.port = free_port()
        words = [word.replace("PORT", str(self.port)) for word in command]
        self.log_path = self.directory / f"{'-'.join(words[1:2])}.log"
        return Process([str(self.python), *words], log_path=self.log_path, env=self.env | env, cwd=self.directory)
