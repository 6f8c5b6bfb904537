"""Who may read /metrics, and that it is what Prometheus reads: names, labels and no more series than were named."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from notifications import figures
from tickets.figures import OTHER, Counter, Histogram, every

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture
def _with_token(settings):
    settings.NOTIFICATIONS = {**settings.NOTIFICATIONS, "METRICS_TOKEN": TOKEN}


def scrape(client, **how):
    answer = client.get("/metrics", **how)
    assert answer.status_code == 200, answer.content
    return {family.name: family for family in text_string_to_metric_families(answer.content.decode())}


@pytest.mark.usefixtures("_with_token")
@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", f"bearer {TOKEN}x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer ü", TOKEN]
)
def test_without_the_token_there_is_no_such_page(client, settings, shown):
    settings.DEBUG = True
    client.handler.enforce_csrf_checks = True
    headers = {} if shown is None else {"Authorization": shown}
    answers = [client.get("/metrics", headers=headers), client.post("/metrics", headers=headers)]
    assert [answer.status_code for answer in answers] == [404, 404]


@pytest.mark.usefixtures("_with_token")
def test_with_the_token_it_is_read_from_anywhere(client):
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.post("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


@pytest.mark.parametrize(
    ("debug", "address", "status"),
    [
        (True, "127.0.0.1", 200),
        (True, "::1", 200),
        (True, "192.0.2.7", 404),
        (True, "", 404),
        (False, "127.0.0.1", 404),
    ],
)
def test_without_a_token_in_the_settings(client, settings, debug, address, status):
    settings.DEBUG = debug
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == status


def test_it_asks_the_database_nothing(client, settings):
    settings.DEBUG = True
    client.get("/metrics")  # the test is not allowed to ask it anything


def test_names_and_labels_are_as_prometheus_wants_them(client, settings):
    settings.DEBUG = True
    found = scrape(client)
    ours = {name: family for name, family in found.items() if name.startswith("usher_")}
    read = [each for each in every() if isinstance(each, Counter | Histogram)]
    assert {f"usher_{figure.name}" for figure in read} <= set(ours)
    for name, family in ours.items():
        assert re.fullmatch(r"usher_[a-z_]+", name)
        assert family.documentation.endswith("."), name
        if family.type == "histogram":
            assert name.endswith("_seconds")
    assert "process_resident_memory_bytes" in found


def test_a_counter_and_a_histogram(client, settings):
    settings.DEBUG = True
    figures.RESETS.add("ahead")
    figures.DELIVERY_SECONDS.observe(0.02, "announced", 3)
    found = scrape(client)
    resets = {sample.labels["reason"]: sample.value for sample in found["usher_resets"].samples}
    assert resets == {word: float(value) for word, value in figures.RESETS.values.items()}
    counts = figures.DELIVERY_SECONDS.counts["announced"]
    told = [s for s in found["usher_delivery_seconds"].samples if s.labels.get("way") == "announced"]
    buckets = {sample.labels["le"]: sample.value for sample in told if sample.name.endswith("_bucket")}
    assert buckets["0.01"] == counts[0] + counts[1]
    assert buckets["0.025"] == counts[0] + counts[1] + counts[2]
    assert buckets["+Inf"] == sum(counts) == next(s.value for s in told if s.name.endswith("_count"))


def test_nothing_that_is_counted_makes_a_new_series(client, settings):
    settings.DEBUG = True

    def series():
        return {
            (sample.name, *sorted(sample.labels.items()))
            for family in scrape(client).values()
            for sample in family.samples
            if sample.name.startswith("usher_")
        }

    before = series()
    for figure in every():
        if isinstance(figure, Counter) and figure.by:
            for word in ("'; DROP", "\n", "ü", "4" * 5_000, ""):
                figure.add(word)
            assert figure.values[OTHER] >= 5
    assert series() == before
    assert len(before) < 600, "bounded, and not much"
