"""`python -m notifications.client` against real servers, as somebody at a terminal uses it: a process of its own."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator

import pytest

from tests.conftest import EACH_KIND_ONCE, Site
from tests.support import canary
from tests.support.client import Person
from tests.support.processes import ROOT

ONCE = pytest.mark.parametrize(("stack_kind", "server_kind"), [("embedded", "daphne")], indirect=True)
"""For what no other kind of site could change."""

PATIENCE = 60
"""Seconds until something that takes two is given up."""

COMMAND = [sys.executable, "-m", "notifications.client"]


def environment(person: Person, **others: str) -> dict[str, str]:
    """Nothing of a site's, Django's settings least of all."""
    needed = ("PATH", "HOME", "TMPDIR", "PYTHONDONTWRITEBYTECODE")
    mine = {name: os.environ[name] for name in needed if name in os.environ}
    who = {"USHER_URL": person.server.http, "USHER_USERNAME": person.username, "USHER_PASSWORD": person.password}
    return mine | who | others


async def run(person: Person, *arguments: str, stdin: str = "", **others: str) -> tuple[int, str, str]:
    """To its end: the exit code, what it printed, what it said beside."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        cwd=ROOT,
        env=environment(person, **others),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate(stdin.encode())
    canary.present.page(f"{out.decode()}\n{err.decode()}")
    return process.returncode, out.decode(), err.decode()


class Tail:
    """`tail` as it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.heard: list[dict] = []
        self.said = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, person: Person, *options: str) -> AsyncIterator["Tail"]:
        process = await asyncio.create_subprocess_exec(
            # Whoever runs the tests in the background has them, and all they start, ignore an interrupt.
            *["env", "--default-signal=INT", *COMMAND, "tail", "--json", *options],
            cwd=ROOT,
            env=environment(person),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        tail = cls(process)
        try:
            yield tail
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
            canary.present.page(f"{tail.heard}\n{tail.said}")

    async def says(self, text: str) -> None:
        """The next line on stderr that begins so."""
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stderr.readline()).decode():
                self.said += line
                if line.startswith(text):
                    return
        raise AssertionError(f"it never said {text!r}, but {self.said!r}")

    async def hears(self, *titles: str) -> None:
        """The next lines on stdout are these, and nothing in between."""
        async with asyncio.timeout(PATIENCE):
            for title in titles:
                line = await self.process.stdout.readline()
                assert line, f"it ended without {title!r}; it heard {self.heard}"
                self.heard.append(json.loads(line))
                assert self.heard[-1]["title"] == title, self.heard

    async def ends(self) -> int:
        async with asyncio.timeout(PATIENCE):
            self.said += (await self.process.stderr.read()).decode()
            return await self.process.wait()


async def tell_at_server(person: Person, *titles: str) -> None:
    service = Person(person.server, "service")
    for title in titles:
        answer = await service.post("/api/notifications/", {"user": person.username, "title": title})
        assert answer.status_code == 201, answer.text


async def tell(person: Person, *titles: str) -> None:
    """By another process, in this order; works while no server does."""
    said = TELL.format(username=person.username, titles=list(titles))
    await asyncio.to_thread(person.server.stack.manage, "shell", "--no-imports", "--command", said)


TELL = """
from django.contrib.auth import get_user_model
from notifications.api import notify
person = get_user_model().objects.get(username="{username}")
for title in {titles!r}:
    notify(person, title=title)
"""


@EACH_KIND_ONCE
async def test_it_hears_everything_once_whatever_ends(make_site, tmp_path):
    """Grants, all the time and without a word; the server; itself."""
    site = make_site(TICKETS_GRANT_SECONDS="3", NOTIFICATIONS_GRACE_SECONDS="1")
    demo, file = site.person("demo"), tmp_path / "position"
    many = [f"number {number}" for number in range(150)]
    async with Tail.of(demo, "-v", "--resume", str(file)) as tail:
        await tail.says("Connected.")
        assert file.read_text().endswith(":0\n"), "whoever is killed before the first one has missed none"
        await tell(demo, *many)  # more than a window: one that did not ack would be left standing
        await tail.hears(*many)
        await asyncio.sleep(3.5)
        await tell_at_server(demo, "after a grant")
        await tail.hears("after a grant")

        site.server.kill()
        await tail.says("Not connected")
        assert tail.said.count("onnect") == 3, f"one connection until here: {tail.said}"
        await tell(demo, "nobody was there", "nor then")
        site.server.start()
        await tail.hears("nobody was there", "nor then")
        await tell_at_server(demo, "again")
        await tail.hears("again")
        assert [each["seq"] for each in tail.heard] == list(range(1, 155))
        tail.process.kill()
        await tail.process.wait()

    await tell_at_server(demo, "nobody was there", "and on")
    code, out, _ = await run(demo, "tail", "--json", "--resume", str(file), "--count", "1")
    assert (code, [json.loads(line)["seq"] for line in out.splitlines()]) == (0, [155]), "where the killed one was"
    async with Tail.of(demo, "--resume", str(file)) as tail:
        await tail.hears("and on")
        tail.process.send_signal(signal.SIGINT)
        assert await tail.ends() == 130
        assert tail.said == "Connected.\n"


SAY = """
from notifications.api import notify_topic
for title in {titles!r}:
    notify_topic("{topic}", title=title)
"""
HIRE = """
from django.contrib.auth import get_user_model
from notifications.topics import permissions_changed
person = get_user_model().objects.get(username="{username}")
person.is_staff = {is_staff}
person.save()
permissions_changed(user=person)
"""


async def elsewhere(person: Person, code: str, **words: object) -> None:
    """By another process; works while no server does."""
    await asyncio.to_thread(person.server.stack.manage, "shell", "--no-imports", "--command", code.format(**words))


@EACH_KIND_ONCE
async def test_topics_are_heard_as_well_until_the_right_is_lost(make_site, tmp_path):
    site = make_site()
    alice, file = site.person("alice"), tmp_path / "position"
    topics = ["--topic", "announcements", "--topic", "staff.desk", "--resume", str(file)]
    await elsewhere(alice, HIRE, username="alice", is_staff=True)
    many = [f"number {number}" for number in range(100)]
    async with Tail.of(alice, *topics) as tail:
        await tail.says("Listening to")
        await tail.says("Listening to")
        await elsewhere(alice, SAY, topic="staff.desk", titles=many)  # more than a window
        await tail.hears(*many)
        await tell_at_server(alice, "own")
        await tail.hears("own")
        site.server.kill()
        await tail.says("Not connected")
        await elsewhere(alice, SAY, topic="announcements", titles=["nobody was there"])
        site.server.start()
        await tail.hears("nobody was there")
        tail.process.send_signal(signal.SIGINT)
        assert await tail.ends() == 130
        numbers = [(each["stream"][:2], each["seq"], each["replayed"]) for each in tail.heard]
        assert numbers == [*(("t.", seq, False) for seq in range(1, 101)), ("u.", 1, False), ("t.", 1, True)]

    await elsewhere(alice, SAY, topic="staff.desk", titles=["then", "and on"])
    async with Tail.of(alice, *topics) as tail:
        await tail.hears("then", "and on")
        await elsewhere(alice, HIRE, username="alice", is_staff=False)
        assert await tail.ends() == 1
        assert tail.said.endswith("The topic staff.desk is not for you (forbidden).\n")
    code, out, err = await run(alice, "tail", "-q", "--topic", "no.such")
    assert (code, out, err) == (1, "", "The topic no.such is not for you (forbidden).\n")


@EACH_KIND_ONCE
async def test_who_is_signed_out_elsewhere_must_sign_in(site):
    person = site.newcomer()
    async with Tail.of(person) as tail:
        await tail.says("Connected.")
        code, listed, _ = await run(person, "sessions")
        assert code == 0
        rows = [line for line in listed.splitlines() if not line.startswith(" ")]
        assert len(rows) == 2
        assert all("usher-client" in row for row in rows)
        assert [row.endswith("(this one)") for row in rows].count(True) == 1

        theirs = next(row.split()[0] for row in rows if "(this one)" not in row)
        code, out, err = await run(person, "sessions", "--end", theirs)
        assert (code, out, err) == (0, "", "Ended.\n")
        assert await tail.ends() == 3
        assert tail.said.endswith("Sign in again: The login session ended. (4501 logged_out)\n")
    code, _, err = await run(person, "sessions", "--end", str(uuid.uuid4()))
    assert (code, err) == (1, "You have no such login session.\n")


@ONCE
async def test_what_it_opened_it_ends(site):
    person = site.newcomer()
    await person.token()
    assert await run(person, "sessions", "--end-others") == (0, "", "Ended: 1.\n")
    assert (await person.get("/api/sessions/")).status_code == 401
    await person.token()
    sessions = (await person.get("/api/sessions/")).json()["results"]
    assert [session["current"] for session in sessions] == [True], "nothing is left of the command's"


@EACH_KIND_ONCE
async def test_send_tells_once(site):
    person, service = site.newcomer(), site.person("service")
    said = ["--title", "Build finished", "--level", "success", "--kind", "ci.build", "--link", "/builds/7/"]
    command = ["send", person.username, *said, "--data", '{"build": 7}', "--idempotency-key", "build-7", "--body", "-"]
    first, again, other = [
        await run(service, *command, stdin=body) for body in ("All green.\n", "All green.\n", "All red.\n")
    ]
    assert first == again
    assert first[0] == 0
    assert other[0] == 1, "the same key with other words"
    (row,) = (await person.get("/api/notifications/")).json()["results"]
    assert row["id"] == first[1].strip()
    wanted = {"title": "Build finished", "body": "All green.", "level": "success", "kind": "ci.build"}
    assert wanted.items() <= row.items()
    assert (row["url"], row["data"]) == ("/builds/7/", {"build": 7})

    code, _, err = await run(person, "send", "demo", "--title", "x")
    assert (code, err) == (1, "Publishing needs the permission notifications.add_notification.\n")
    code, _, err = await run(service, "send", person.username, "--title", "x", "--link", "javascript:alert()")
    assert (code, err) == (
        1,
        "The notification is not valid; see errors.\n  url: must be an http(s) URL or a path that begins with /.\n",
    )


@ONCE
async def test_hostile_words_are_shown_and_not_carried_out(site):
    person, service = site.newcomer(), site.person("service")
    title, body = "\x9b31mred \u202eback\u202c\nfake", "first\n[error] second\u2028third"
    answer = await service.post("/api/notifications/", {"user": person.username, "title": title, "body": body})
    assert answer.status_code == 201, answer.text
    _, shown, _ = await run(person, "tail", "--since", "0", "--count", "1")
    head, first, second = shown.splitlines()
    assert head.endswith(r"[info] \x9b31mred \u202eback\u202c\nfake (missed)")
    assert (first, second) == ("    first", r"    [error] second\u2028third")
    _, spelled, _ = await run(person, "tail", "--json", "--since", "0", "--count", "1")
    assert spelled.isascii()
    assert json.loads(spelled)["title"] == title


@EACH_KIND_ONCE
async def test_who_may_not_come_in(site, tmp_path):
    person = site.newcomer()
    code, out, err = await run(person, "tail", USHER_PASSWORD="wrong")
    assert (code, out, err) == (3, "", "No active account has this name and password.\n")
    token = await person.token()
    code, _, _ = await run(person, "sessions", USHER_USERNAME="", USHER_TOKEN=token)
    assert code == 0
    assert (await person.get("/api/sessions/")).status_code == 200, "a session that was not opened here stays"
    await person.log_out()
    code, _, err = await run(person, "tail", USHER_USERNAME="", USHER_TOKEN=token)
    assert (code, err) == (3, "This login session has ended; sign in again.\n")
    code, _, _ = await run(person, "sessions", "--password-stdin", stdin=f"{person.password}\n", USHER_PASSWORD="wrong")
    assert code == 0

    (tmp_path / "position").write_text("something else")
    code, _, err = await run(person, "tail", "--resume", str(tmp_path / "position"))
    assert (code, "holds no position" in err) == (2, True)
    code, _, err = await run(person, "tail", USHER_URL=f"{person.server.http}/accounts/login/")
    assert (code, "Is it an Usher site?" in err) == (1, True)


@ONCE
async def test_a_pipe_that_nobody_reads_ends_it_quietly(site: Site):
    person = site.newcomer()
    async with Tail.of(person) as tail:
        await tail.says("Connected.")
        tail.process.stdout._transport.close()  # type: ignore[attr-defined]
        assert await tail.ends() == 0
        assert tail.said == "Connected.\n"


@ONCE
async def test_the_program_in_the_readme(site):
    (code,) = re.findall(r"```python\n(import asyncio\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "notifications.client" in code
    code = code.replace("http://127.0.0.1:8000", site.server.http).replace("print(", "print(flush=True, *(")
    code = code.replace("client.position)", "client.position))")
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", code], cwd=ROOT, env={"PATH": os.environ["PATH"]}, stdout=asyncio.subprocess.PIPE
    )
    line = asyncio.create_task(process.stdout.readline())
    try:
        async with asyncio.timeout(PATIENCE):
            while not line.done():  # without a position it begins with what is new
                await tell_at_server(site.person("demo"), "Hello")
                await asyncio.wait([line], timeout=0.3)
        assert re.fullmatch(rb"Hello \w+:\d+\n", line.result())
    finally:
        process.kill()
        await process.wait()


def test_it_needs_no_django():
    code = "import notifications.client, notifications.client.terminal, sys; assert 'django' not in sys.modules"
    bare = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=bare, check=True, timeout=30)


def test_a_site_that_is_not_there():
    command = [*COMMAND, "send", "demo", "--title", "x", "--url", "http://127.0.0.1:9", "--username", "demo"]
    bare = {"PATH": os.environ["PATH"], "USHER_PASSWORD": "demo"}
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("http://127.0.0.1:9 cannot be reached: ")
