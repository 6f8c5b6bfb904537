"""That the fixtures stand: each kind of site, with a stack of its own and with the shared one, greets a person."""

import httpx


async def greet(site, username):
    person = site.person(username)
    async with person.connect() as socket:
        welcome = await socket.expect("welcome")
        assert welcome["user"]["username"] == username
        assert socket.websocket.subprotocol == "usher.v1"
        return welcome


async def test_the_shared_site_greets_its_people(site):
    for username in ("demo", "alice", "staff", "service"):
        await greet(site, username)


async def test_a_site_of_its_own_has_the_settings_asked_for(make_site):
    site = make_site(TICKETS_GRANT_SECONDS="30")
    welcome = await greet(site, "alice")
    assert welcome["ping_seconds"] > 0
    second = site.add_server()
    assert httpx.get(f"{second.http}/healthz").status_code == 200
    alice = site.person("alice")
    await alice.token()
    async with alice.at(second).connect() as socket:
        await socket.expect("welcome")


async def test_newcomers_are_strangers_to_each_other(site):
    one, other = site.newcomer(), site.newcomer()
    assert one.username != other.username
    async with one.connect() as mine, other.connect() as theirs:
        assert (await mine.expect("welcome"))["user"] != (await theirs.expect("welcome"))["user"]
