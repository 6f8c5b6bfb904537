import logging

from notifications.rabbitmq.outage import LONGEST_WAIT, Outage


def test_it_is_said_once_and_when_it_is_over(caplog):
    caplog.set_level(logging.INFO)
    outage = Outage("nothing is relayed")
    outage.over()
    for _ in range(3):
        outage.goes_on(OSError("refused"))
    outage.over()
    outage.over()
    assert [record.getMessage() for record in caplog.records] == [
        "nothing is relayed: OSError: refused",
        "that is over, after 3 attempts: nothing is relayed",
    ]


def test_it_waits_longer_each_time_and_begins_anew():
    outage = Outage("x")
    waits = []
    for _ in range(2_000):
        outage.goes_on(OSError())
        waits.append(outage.wait)
    assert waits[:3] == [0.4, 0.8, 1.6] and waits == sorted(waits) and waits[-1] == LONGEST_WAIT
    outage.over()
    outage.goes_on(OSError())
    assert outage.wait == 0.4
