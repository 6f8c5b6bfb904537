"""The client as npm users take it: packed, installed into a project of theirs, compiled strictly and run."""

import json
import shutil
import subprocess
import tarfile
import tomllib

import pytest

from tests.js.conftest import _without
from tests.support.processes import ROOT

MANIFEST = json.loads((ROOT / "npm" / "package.json").read_text())
TSC = ROOT / "node_modules" / "typescript" / "bin" / "tsc"

MODULES = {"client", "closing", "line", "listeners", "position", "reauth", "subscription", "timing", "topic", "topics"}

# Each line that `@ts-expect-error` stands above is wrong; were one of them right, that would be the error.
USE = """
import { DeniedError, UnauthorizedError, UsherClient } from "usher-client";
import type { Events, Options, Position, Subscription, Ticket } from "usher-client";
import type { Notification } from "usher-client/frames";

async function getTicket({ reason, attempt }: { reason: "connect" | "reauth"; attempt: number }): Promise<Ticket> {
  const answer = await fetch("/api/tickets/", { method: "POST", body: JSON.stringify({ purpose: reason }) });
  if (answer.status === 401) throw new UnauthorizedError(`refused at attempt ${attempt}`);
  return answer.json();
}

const position: Position = { epoch: "a", seq: 7 };
const options: Options = { getTicket, position, user: 7, WebSocket };
const client = new UsherClient(options);
const stop: () => void = client.on("notification", (frame: Notification) => {
  const title: string = frame.title;
  const seq: number | null = frame.seq;
  console.log(title, seq);
});
client.on("state", ({ state, retryAt }) => console.log(state === "waiting" ? retryAt : null));
client.on("gap", (gap: Events["gap"]) => console.log(gap.head));
client.open();
const orders: Subscription = client.subscribe("orders.7", { since: position });
orders.on("notification", (frame: Notification) => console.log(frame.title, orders.position?.seq));
orders.on("state", ({ state, code }) => console.log(state === "denied" ? code : state));
await orders.ready().catch((error: DeniedError) => console.log(error.code));
orders.unsubscribe();
const marked = await client.mark({ through: 7, state: "read" });
console.log(marked.unread, client.position?.seq);
stop();

// @ts-expect-error no options
new UsherClient();
// @ts-expect-error a ticket has an address
new UsherClient({ getTicket: async () => ({ ticket: "x" }) });
// @ts-expect-error no such event
client.on("notifications", () => {});
// @ts-expect-error a number is no title
client.on("notification", (frame) => frame.title * 2);
// @ts-expect-error there is no such state
client.on("state", ({ state }) => state === "conected");
// @ts-expect-error a topic has a name
client.subscribe();
// @ts-expect-error a position is no number
client.subscribe("orders.7", { since: 7 });
// @ts-expect-error there is no such state of a subscription
orders.on("state", ({ state }) => state === "connected");
// @ts-expect-error which ones?
client.mark({ state: "read" });
// @ts-expect-error only what is named is exported
import("usher-client/line");
"""
RUN = """
import { UsherClient } from "usher-client";

const client = new UsherClient({ getTicket: () => new Promise(() => {}), WebSocket: class {} });
client.on("state", ({ state }) => console.log(state));
client.open();
client.close();
"""
STRICT = {
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "noUncheckedIndexedAccess": True,
    "skipLibCheck": False,
    "noEmit": True,
    "target": "es2022",
    "module": "nodenext",
    "lib": ["es2022", "dom"],
    "types": [],
}


@pytest.fixture(scope="module")
def npm(packages) -> str:
    path = shutil.which("npm")
    if path is None:
        _without("npm")
    return path


@pytest.fixture(scope="module")
def tarball(npm, tmp_path_factory):
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "npm" / "pack", directory], check=True, timeout=100, stdin=subprocess.DEVNULL)
    return directory / f"{MANIFEST['name']}-{MANIFEST['version']}.tgz"


@pytest.fixture(scope="module")
def project(npm, tarball, tmp_path_factory):
    """Somebody's project, with the package in it."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "package.json").write_text('{"name": "theirs", "private": true, "type": "module"}')
    (directory / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICT, "files": ["use.ts"]}))
    (directory / "use.ts").write_text(USE)
    (directory / "run.js").write_text(RUN)
    install = [npm, "install", tarball, "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(install, cwd=directory, check=True, timeout=100, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return directory


def test_it_has_the_client_its_types_and_nothing_else(tarball):
    with tarfile.open(tarball) as opened:
        found = {name.removeprefix("package/") for name in opened.getnames()}
        shipped = opened.extractfile("package/client.js").read()
    code = {f"{name}.{kind}" for name in MODULES for kind in ("js", "d.ts")}
    assert found == code | {"frames.d.ts", "package.json", "README.md"}
    assert shipped == (ROOT / "static" / "usher" / "client.js").read_bytes()


def test_it_has_the_version_of_all_the_rest():
    assert MANIFEST["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_its_types_hold_and_refuse_what_is_wrong(run_node, project):
    run_node(str(TSC), "-p", str(project))


def test_node_runs_it(run_node, project):
    assert run_node(str(project / "run.js")).split() == ["connecting", "closed"]
