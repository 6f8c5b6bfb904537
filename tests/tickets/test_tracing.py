"""Ids that every line of the log in between has, and no line of somebody else's."""

from tickets import tracing


def test_what_is_bound_is_for_this_context_alone():
    context = tracing.unbound()
    tracing.begin(request="one")
    tracing.bind(user=7)
    assert tracing.bound() == {"request": "one", "user": 7}
    assert context.run(tracing.bound) == {}
    tracing.unbind("user", "session")
    assert tracing.bound() == {"request": "one"}
    tracing.begin(request="two")
    assert tracing.bound() == {"request": "two"}


def test_who_works_for_many_works_for_nobody_in_particular():
    tracing.begin(request="one")
    assert tracing.unbound().run(tracing.bound) == {}
    assert tracing.bound() == {"request": "one"}, "whoever asked goes on"
    tracing.begin()
