"""The trip of a figure: counted where it is decided, read by Prometheus of each process, added up on the dashboard."""

import asyncio
import contextlib
from collections import Counter

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import EACH_KIND_ONCE
from tests.support.desk import Desk

from .test_staff import until

TOKEN = "a-token-that-nobody-guesses"
LIVE = "/admin/notifications/figures/live.json"
USHER = "usher_"


async def scrape(server, token=TOKEN):
    """What Prometheus would know of a process, by name and labels; only what is not zero, histograms by their count."""
    async with httpx.AsyncClient(base_url=server.http, trust_env=False) as http:
        answer = await http.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    return Counter(
        {
            (sample.name.removeprefix(USHER), *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name.startswith(USHER) and not sample.name.endswith(("_bucket", "_sum", "_created"))
        }
    )


async def series(server):
    """The names and labels of all that is told."""
    found = await scrape(server)
    return {key for key in found if key[0].endswith(("_total", "_count"))}


async def use(demo, alice):
    """One connects, hears three notifications and leaves; one shows bad tickets, speaks badly and is sent away."""
    ticket = await demo.ticket()
    async with demo.connect(ticket=ticket) as socket:
        await socket.expect("welcome")
        for number in range(3):
            demo.server.stack.manage("notify", "demo", "--title", str(number))
            await socket.expect("notification", title=str(number), replayed=False)
        async with demo.connect(ticket=ticket) as second:
            assert await second.closed() == 4402
        for bad in ("", "a" * 42):
            async with demo.connect(ticket=bad) as third:
                assert await third.closed() == 4402
        position = socket.position
    async with demo.connect(since=f"{position.partition(':')[0]}:0") as again:
        await again.expect("caught_up")
        await again.close()
    async with alice.connect() as rude:
        await rude.expect("welcome")
        for _ in range(5):
            await rude.send("no frame")
        assert await rude.closed() == 4505


TOLD = {
    ("tickets_issued_total", "connect"): 3,
    ("tickets_redeemed_total",): 3,
    ("tickets_refused_total", "used"): 1,
    ("connections_opened_total", "usher.v1"): 3,
    ("tickets_refused_total", "malformed"): 2,
    ("connections_closed_total", "4402"): 3,
    ("connections_closed_total", "4505"): 1,
    ("notifications_sent_total", "live"): 3,
    ("notifications_sent_total", "replayed"): 3,
    ("replays_total", "resumed"): 1,
    ("frames_sent_total", "welcome"): 3,
    ("bad_frames_total", "malformed"): 5,
    ("errors_total", "malformed"): 5,
}


@EACH_KIND_ONCE
async def test_the_figures(make_site):
    site = make_site(METRICS_TOKEN=TOKEN, NOTIFICATIONS_FIGURES_SECONDS="1")
    other = site.add_server()
    await use(site.person("demo"), site.person("alice").at(other))

    async def all_closed():
        found = await scrape(site.server) + await scrape(other)
        return found if not found["connections", "usher.v1", "open"] else None

    found = await until(all_closed)
    assert {key: found[key] for key in TOLD} == TOLD
    mine, theirs = await scrape(site.server), await scrape(other)
    assert mine["tickets_issued_total", "connect"] == 2, "each process tells its own"
    assert theirs["errors_total", "malformed"] == 5
    assert mine["redeem_seconds_count", "redeemed"] == 2
    async with httpx.AsyncClient(base_url=site.server.http, trust_env=False) as http:
        for token in ("", "Bearer", f"Bearer {TOKEN}x"):
            assert (await http.get("/metrics", headers={"Authorization": token})).status_code == 404

    async with Desk(site, "staff") as staff, site.person("demo").at(other).connect() as socket:
        await socket.expect("welcome")

        async def shown():
            told = (await staff.get(LIVE)).json()
            many = sum(told["totals"].get("connections_opened", {}).values())
            return told if many == 4 and told["present"]["open"] == 1 else None

        told = await until(shown)
        assert len(told["processes"]) == 2
        expected = TOLD | {
            ("tickets_issued_total", "connect"): 4,
            ("tickets_redeemed_total",): 4,
            ("connections_opened_total", "usher.v1"): 4,
            ("frames_sent_total", "welcome"): 4,
        }
        for (name, *words), value in expected.items():
            assert told["totals"][name.removesuffix("_total")]["".join(words)] == value, name
        assert round(sum(filter(None, told["series"]["issued"]))) in (0, 1, 2, 3, 4), "what is not drawn yet is to come"

        # A process that was killed is believed for some of its seconds and then gone, with what it had open.
        other.kill()

        async def gone():
            told = (await staff.get(LIVE)).json()
            return len(told["processes"]) == 1 and told["present"]["open"] == 0

        await until(gone)


@EACH_KIND_ONCE
async def test_there_are_no_more_series_after_anything(make_site):
    site = make_site(METRICS_TOKEN=TOKEN)
    before = await series(site.server)
    await use(site.person("demo"), site.person("alice"))
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(site.person("demo").connect()) for _ in range(3)]
        for socket in sockets:
            await socket.expect("welcome")
            for frame in ({"type": "x" * 100}, {"type": "ack", "seq": -1}, {"type": "state", "state": "é"}, b"\x00"):
                await socket.send(frame)
            await socket.expect("error")
            socket.cut()
    await asyncio.gather(*(site.person("demo").get(f"/api/{path}") for path in ("x", "notifications/?limit=x")))
    assert await series(site.server) == before
