"""What docs/operations.md tells operators to do is done, and what it names is there."""

import re
import shlex

import pytest

from notifications.conf import conf as notifications
from tests.support.processes import ROOT
from tickets.conf import conf as tickets

PAGE = (ROOT / "docs" / "operations.md").read_text()
COMMANDS = re.findall(r"^# (?:.*&& )?(\S*\.venv/bin/python manage\.py .*)$", PAGE, re.MULTILINE)


def test_the_settings_it_names_exist():
    known = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    named = set(re.findall(r"\b((?:TICKETS|NOTIFICATIONS|SECURE|ALLOWED|TRUSTED)_[A-Z_]+)\b", PAGE))
    assert named
    assert named <= known


def test_the_files_it_names_exist():
    for path in set(re.findall(r"\b(deploy/[\w./-]*\w|docs/[\w./-]*\w)", PAGE)):
        assert list(ROOT.glob(f"{path}*")), path


def test_the_commands_it_names_exist():
    names = {shlex.split(command)[2] for command in COMMANDS}
    assert {"migrate", "collectstatic", "createsuperuser", "check", "shell"} <= names
    own = set(re.findall(r"`manage\.py (\w+)", PAGE)) - names
    assert own
    assert all(list(ROOT.glob(f"*/management/commands/{name}.py")) for name in own), own


def test_the_limits_it_tells_are_the_defaults():
    limits = PAGE[PAGE.index("\n## Limits") :]
    for told in (
        f"{notifications.UNAUTHENTICATED_PER_ADDRESS} sockets of one address",
        f"or {notifications.UNAUTHENTICATED_PER_PROCESS} of a process",
        f"{notifications.SOCKETS_PER_PROCESS:,} sockets of a process",
        f"{notifications.SOCKETS_PER_USER} sockets of a person",
        f"{tickets.ISSUE_PER_MINUTE} tickets a minute for a person ({tickets.ISSUE_BURST} at once)",
        f"{tickets.SIGN_IN_PER_MINUTE_NAME} calls of `POST /api/token/` a minute under one name",
        f"{tickets.SIGN_IN_PER_MINUTE_ADDRESS} from one address",
        f"{notifications.COMMANDS_PER_SECOND:g} commands a second on a socket ({notifications.COMMAND_BURST} at once)",
        f"{notifications.WINDOW} notifications without an ack for {notifications.ACK_STALL_SECONDS:g} s",
    ):
        assert told in limits, told
    pruning = f"{notifications.RETENTION_DAYS:g} days or {notifications.RETENTION_COUNT:,} a person"
    assert pruning in PAGE
    assert f"{tickets.DATABASE_THREADS + 4} by default" in PAGE
    assert f"within {3 * notifications.PRESENCE_SECONDS:g} s" in PAGE


@pytest.mark.parametrize("stack_kind", ["embedded"], indirect=True)
@pytest.mark.parametrize("server_kind", ["uvicorn"], indirect=True)
async def test_after_a_restored_backup_positions_are_void(make_site):
    site = make_site()
    site.stack.manage("notify", "demo", "--title", "Before the backup")
    async with site.person("demo").connect() as socket:
        await socket.expect("welcome", head=1)
        position = socket.position
    (restore,) = (shlex.split(command) for command in COMMANDS if "new_epoch" in command)
    site.stack.manage(*restore[2:])
    async with site.person("demo").connect(since=position) as socket:
        await socket.expect("reset", reason="epoch", head=1)
