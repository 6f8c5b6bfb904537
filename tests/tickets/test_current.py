"""Which login session the code that runs now stands on, for whoever changes a password and for the log."""

from uuid import uuid4

from tickets import current, tracing


def test_the_log_knows_whose_session_it_is_for_as_long_as_it_is_stood_on():
    tracing.begin(request="one")
    session = uuid4()
    current.stands_on(session, 7)
    assert current.session_id.get() == session
    assert tracing.bound() == {"request": "one", "session": session, "user": 7}
    current.stands_on(None)
    assert current.session_id.get() is None
    assert tracing.bound() == {"request": "one"}
    tracing.begin()
