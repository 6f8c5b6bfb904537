"""deploy/prometheus and deploy/grafana ask for what is there: held against a scrape of a real process."""

import json
import re

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.fleet import DEPLOY
from tests.support.processes import ROOT
from tests.support.promql import read

TOKEN = "a-token-that-nobody-guesses"
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
BOARD = json.loads((DEPLOY / "grafana/usher.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
OF_PROMETHEUS = {"up": {"job": {"usher"}, "instance": set()}}
FILLED_IN = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}
ADDED_BY_SCRAPING = {"job", "instance"}


def expressions():
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], filled_in(target["expr"])


def filled_in(expression):
    for name, value in FILLED_IN.items():
        expression = expression.replace(name, value)
    return expression


@pytest.fixture(scope="module")
def scraped(stacks):
    """By metric and label, the values that a process tells that nothing has happened to yet."""
    from tests.support.servers import Server

    stack = stacks.make("embedded", METRICS_TOKEN=TOKEN)
    with Server("uvicorn", stack) as server:
        answer = httpx.get(f"{server.http}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)
    stack.stop()
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {"job": {"usher"}, "instance": {"any"}})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found | OF_PROMETHEUS


def complaints(where, expression, scraped):
    """What an expression asks for that is not told."""
    used = read(expression)
    for selector in used.selectors:
        labels = scraped.get(selector.metric)
        if labels is None:
            yield f"{where}: nothing is called {selector.metric}"
            continue
        yield from (f"{where}: {selector.metric} has no label {label}" for label in used.named - set(labels))
        for label, sign, value in selector.matchers:
            if label not in labels:
                yield f"{where}: {selector.metric} has no label {label}"
            elif label not in ADDED_BY_SCRAPING and not any(matches(sign, value, each) for each in labels[label]):
                yield f"{where}: no {label} of {selector.metric} {sign} {value}"


def matches(sign, value, told):
    return bool(re.fullmatch(value, told)) if "~" in sign else value == told


def test_everything_that_is_asked_for_is_told(scraped):
    asked = list(expressions())
    assert len(asked) > 60
    found = [complaint for where, expression in asked for complaint in complaints(where, expression, scraped)]
    assert found == []


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("sum(rate(usher_resets[5m]))", "nothing is called"),
        ('usher_resets_total{why="ahead"}', "no label why"),
        ('usher_resets_total{reason="tired"}', "no reason"),
        ("sum by (colour) (usher_resets_total)", "no label colour"),
    ],
)
def test_what_is_not_told_is_found_out(scraped, expression, said):
    assert any(said in complaint for complaint in complaints("here", expression, scraped))


def test_what_is_drawn_can_be_told_apart():
    for panel in PANELS:
        for target in panel["targets"]:
            labels = read(filled_in(target["expr"])).labels
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert labels is None or shown == labels, (panel["title"], target["legendFormat"], labels)


def test_every_figure_that_is_told_is_drawn(scraped):
    """Save those that a process needs no panel for."""
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in scraped if name.startswith("usher_")}
    drawn = {re.sub(r"_(bucket|count|sum)$", "", s.metric) for _, each in expressions() for s in read(each).selectors}
    assert ours - drawn == {"usher_sockets_accepted_total", "usher_tickets_revoked_total", "usher_pushes_refused_total"}


def test_the_board_is_one_that_grafana_takes():
    assert BOARD["schemaVersion"] >= 39
    assert {"title", "uid", "panels", "templating", "time"} <= set(BOARD)
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        places = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not places & taken, f"{panel['title']} lies over another"
        taken |= places
    for panel in PANELS:
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFG"[: len(panel["targets"])])
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert "datasource" in {each["name"] for each in BOARD["templating"]["list"]}


def headings():
    page = (ROOT / "docs" / "operations.md").read_text()
    return {
        re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", page, re.M)
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_means_and_what_to_do(rule):
    assert rule["labels"]["severity"] in ("warning", "critical")
    words = rule["annotations"]
    assert words["summary"].endswith(".") and words["description"].endswith(".")
    place, _, anchor = words["runbook"].partition("#")
    assert place == "docs/operations.md"
    assert anchor in headings()
    labels = read(rule["expr"]).labels
    named = set(re.findall(r"\$labels\.(\w+)", words["summary"]))
    assert labels is None or named <= labels, "what the summary names is there by then"


def test_each_process_of_nginx_has_a_way_for_prometheus():
    processes = re.findall(r"server (unix:\S+) ", (DEPLOY / "nginx/usher/processes.conf").read_text())
    ways = (DEPLOY / "nginx/usher/metrics.conf").read_text()
    assert re.findall(r"proxy_pass http://(unix:\S+?):/metrics;", ways) == processes
    ports = re.findall(r"listen (127\.0\.0\.1:\d+);", ways)
    jobs = yaml.safe_load((DEPLOY / "prometheus/usher.yml").read_text())["scrape_configs"]
    assert jobs[0]["static_configs"][0]["targets"] == ports
    assert len(ports) == len(processes)
