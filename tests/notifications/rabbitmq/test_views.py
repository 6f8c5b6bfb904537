import json
import re
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError
from django.test import Client
from django.urls import include, path
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifications import topics
from notifications.rabbitmq import people, views
from tickets.api import Purpose, end_session, issue, log_in_to_broker, open_session
from tickets.tokens import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("rabbitmq/auth/", include("notifications.rabbitmq.urls"))]

FORM = "application/x-www-form-urlencoded"
EXCHANGE = {"resource": "exchange", "name": "usher.notifications", "permission": "read"}
TOPIC = {**EXCHANGE, "resource": "topic"}


@pytest.fixture(autouse=True)
def _of_this_test(settings, monkeypatch):
    people.forget()
    settings.NOTIFICATIONS = {"RABBITMQ_AUTH": True}
    monkeypatch.setattr(topics, "_rules", [])
    topics.rule("orders.{order_id:int}")(lambda user, order_id: user.get_username() == "ann" and order_id == 7)


def post(question, body, **how):
    return Client().post(f"/rabbitmq/auth/{question}", body, **{"content_type": FORM, **how})


def ask(question, **asked):
    """The words it is answered with."""
    answer = post(question, urlencode(asked))
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain")
    assert answer["Cache-Control"] == "no-store"
    return answer.content.decode()


def at(question, **asked):
    """Of Ann's."""
    return ask(question, username="ann", vhost="/", **asked)


@pytest.fixture
def session_id(ann):
    return open_session(ann, method="test")


@pytest.fixture
def ticket(ann, session_id):
    return issue(user=ann, session_id=session_id, network="203.0.113.7", purpose=Purpose.BROKER).ticket


@pytest.fixture
def inside(ticket):
    """Ann is logged in."""
    assert ask("user", username="ann", password=ticket, vhost="/") == "allow"


def test_a_login(ann, ticket):
    assert ask("user", username="ben", password=ticket + "x") == "deny"
    assert ask("user", username="ann", password=ticket, vhost="/private") == "deny"
    assert ask("user", username="ann", password=ticket, client_id=f"usher.{ann.pk}.phone") == "allow"
    assert ask("user", username="ann", password=ticket, vhost="/") == "allow", "asked once more, with the vhost"
    assert ask("user", username="ben", password=ticket) == "deny"


def test_an_mqtt_client_has_a_name_of_its_persons(ann, ticket):
    for name in (f"usher.{ann.pk + 1}.phone", f"usher.{ann.pk}", "phone", f"usher.{ann.pk}1.phone"):
        assert ask("user", username="ann", password=ticket, client_id=name) == "deny"
    assert ask("user", username="ann", password=ticket, client_id=f"usher.{ann.pk}.phone") == "allow"


def test_tags_are_those_of_two_groups(ann, ticket):
    for name in ("rabbitmq-monitoring", "rabbitmq-administrator", "staff"):
        ann.groups.add(Group.objects.create(name=name))
    assert ask("user", username="ann", password=ticket) == "allow monitoring"


def test_a_token_is_a_password_where_the_site_says_so(ann, settings):
    token = sign_in(ann).access
    assert ask("user", username="ann", password=token) == "deny"
    settings.NOTIFICATIONS = {"RABBITMQ_AUTH": True, "RABBITMQ_AUTH_TOKENS": True}
    assert ask("user", username="ann", password=token) == "allow"


def test_from_where(inside, settings):
    assert at("vhost", ip="203.0.113.99", tags="") == "allow"
    assert at("vhost", ip="198.51.100.1") == "deny"
    assert at("vhost") == "deny"
    assert ask("vhost", username="ann", vhost="/other", ip="203.0.113.7") == "deny"
    assert ask("vhost", username="ben", vhost="/", ip="203.0.113.7") == "deny"
    assert at("vhost", ip="10.0.0.1") == "deny"
    settings.TICKETS = {**settings.TICKETS, "TRUSTED_PROXIES": ["10.0.0.0/8"]}
    assert at("vhost", ip="10.0.0.1") == "allow", "a proxy of the site's own stands there"


def test_who_came_in_by_another_process_a_moment_ago_may(ann, inside, session_id):
    assert at("vhost", ip="203.0.113.7") == "allow"
    elsewhere = issue(user=ann, session_id=session_id, network="198.51.100.1", purpose=Purpose.BROKER).ticket
    log_in_to_broker("ann", elsewhere, "/")
    assert at("vhost", ip="198.51.100.9") == "allow"


def test_who_is_refused_by_the_broker_s_own_side_is_audited(ann, ticket, caplog):
    caplog.set_level("INFO", logger="tickets.audit")
    ask("user", username="ann", password=ticket, vhost="/private")
    ask("user", username="ann", password=ticket, client_id="phone")
    at("vhost", ip="198.51.100.1")
    ask("vhost", username="ben", vhost="/", ip="198.51.100.1")
    ask("vhost", username="ann", vhost="/private", ip="198.51.100.1")
    refused = [
        json.loads(line.getMessage()) for line in caplog.records if '"broker_login", "ok": false' in line.getMessage()
    ]
    assert [line["why"] for line in refused] == ["vhost", "client_id", "network", "no_login", "vhost"]
    assert refused[2]["address"] == "198.51.100.1"
    assert ticket not in caplog.text


def test_what_is_ones_own(ann, inside):
    queue = {"resource": "queue", "name": f"usher.user.{ann.pk}.phone"}
    assert [at("resource", permission=each, **queue) for each in ("configure", "write", "read")] == ["allow"] * 3
    assert at("resource", permission="read", resource="queue", name=f"usher.user.{ann.pk}0.phone") == "deny"
    assert at("resource", **EXCHANGE) == "allow"
    assert at("resource", **{**EXCHANGE, "permission": "write"}) == "deny"
    assert at("topic", routing_key=f"user.{ann.pk}", **TOPIC) == "allow"
    assert at("topic", routing_key="user.*", **TOPIC) == "deny"


def test_a_queue_whose_name_rabbitmq_made_up_is_theirs_who_declared_it(ann, inside):
    ben = type(ann).objects.get(username="ben")
    theirs = issue(user=ben, session_id=open_session(ben, method="test"), purpose=Purpose.BROKER).ticket
    assert ask("user", username="ben", password=theirs) == "allow"
    queue = {"resource": "queue", "name": "stomp-subscription-EjBc1RpTV3WFQVvujHhLLQ", "vhost": "/"}
    for permission, name, answer in (
        *(("read", "ben", "deny"), ("configure", "ann", "allow"), ("write", "ann", "allow"), ("read", "ann", "allow")),
        *(
            ("read", "ben", "deny"),
            ("configure", "ben", "deny"),
            ("write", "ben", "deny"),
            ("configure", "ann", "allow"),
        ),
    ):
        assert ask("resource", username=name, permission=permission, **queue) == answer, (name, permission)


def test_topics_are_decided_by_their_rules(ann, inside):
    assert at("topic", routing_key="topic.orders.7", **TOPIC) == "allow"
    for key in ("topic.orders.8", "topic.orders.*", "topic.#", "topic.orders.٧", "topic.nothing", "topic"):
        assert at("topic", routing_key=key, **TOPIC) == "deny"


def test_who_is_not_logged_in_may_nothing(ann):
    assert at("vhost", ip="203.0.113.7") == "deny"
    assert at("resource", **EXCHANGE) == "deny"
    assert at("topic", routing_key=f"user.{ann.pk}", **TOPIC) == "deny"


def test_the_end_of_the_session_is_the_end(session_id, inside):
    assert at("resource", **EXCHANGE) == "allow"
    end_session(session_id)
    assert at("resource", **EXCHANGE) == "deny"


def test_it_is_asked_by_post_and_from_here(ticket, settings):
    body = urlencode({"username": "ann", "password": ticket})
    assert Client().get(f"/rabbitmq/auth/user?{body}").status_code == 405
    assert post("user", body, REMOTE_ADDR="10.1.2.3").status_code == 403
    settings.NOTIFICATIONS = {"RABBITMQ_AUTH_NETWORKS": ["10.0.0.0/8"]}
    assert post("user", body).status_code == 403
    assert post("user", body, REMOTE_ADDR="10.1.2.3").content == b"allow"


def test_a_stranger_behind_a_proxy_is_a_stranger(ticket, settings):
    settings.TICKETS = {**settings.TICKETS, "TRUSTED_PROXIES": ["127.0.0.1/32"]}
    body = urlencode({"username": "ann", "password": ticket})
    assert post("user", body, HTTP_X_FORWARDED_FOR="203.0.113.7").status_code == 403


def test_a_failure_of_ours_is_no(inside, monkeypatch, caplog):
    def fails(*_args):
        raise OperationalError("no such host")

    monkeypatch.setattr(views.people, "find", fails)
    assert at("vhost", ip="203.0.113.7") == "deny"
    assert "deny" in caplog.text


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_other_forms_are_none(inside, content_type):
    body = urlencode({"username": "ann", "vhost": "/", **EXCHANGE})
    assert post("resource", body).content == b"allow"
    answer = post("resource", body, content_type=content_type)
    assert (answer.status_code, answer.content) == (200, b"deny")


def test_a_body_beyond_all_bounds(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    for size in (2_000, 100_000):
        answer = post("user", "username=ann&password=" + "a" * size)
        assert (answer.status_code, answer.content) == (200, b"deny")


NAMES = st.sampled_from(
    [*("username", "password", "vhost", "ip", "resource", "name", "permission", "routing_key", "tags"), "x", ""]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *("ann", "ben", "/", "queue", "exchange", "topic", "usher.notifications", "usher.user.1.x", "user.1", "#"),
            *("read", "write", "configure", "203.0.113.7", "A" * 43, "\0", "\r\n", "' OR 1=1", "allow", "٧" * 300),
        ]
    ),
    st.text(max_size=50),
)
FORMS = st.one_of(
    st.lists(st.tuples(NAMES, VALUES), max_size=12).map(
        lambda pairs: urlencode(pairs, errors="surrogatepass").encode()
    ),
    st.binary(max_size=300),
    st.integers(100, 40_000).map(lambda size: b"username=ann&password=" + b"%41" * size),
)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.sampled_from(["user", "vhost", "resource", "topic"]), FORMS)
def test_whatever_is_asked_is_answered_with_a_word(inside, question, body):
    answer = post(question, body)
    assert answer.status_code == 200
    tags = "( management)?( monitoring)?" if question == "user" else ""
    assert re.fullmatch(rf"deny|allow{tags}", answer.content.decode())
