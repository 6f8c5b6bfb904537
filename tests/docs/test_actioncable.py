"""docs/clients/actioncable.md says what the codec does; what it shows is run in tests/clients/actioncable."""

import json
import re

from notifications.wire.actioncable import BEAT_SECONDS, SUBSCRIPTIONS
from notifications.wire.actioncable_frames import CONTROL, IDENTIFIER_LENGTH, PERSON, TOPIC, disconnect
from notifications.wire.closing import CloseCode
from notifications.wire.vocabulary import Bye
from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "clients" / "actioncable.md").read_text()


def rows(head):
    section = PAGE.split(f"| {head} |", 1)[1]
    table = re.match(r".*\n\|---.*\n((?:\|.*\n)+)", section)
    return [[cell.strip().replace("`", "") for cell in row.strip("|\n ").split("|")] for row in table[1].splitlines()]


def test_what_is_said_at_the_end():
    told = {
        int(code): {"reason": reason, "reconnect": json.loads(reconnect)}
        for codes, reason, reconnect in rows("code")
        for code in codes.split()
    }
    assert set(told) == set(CloseCode)
    for code in CloseCode:
        bye = Bye(code=int(code), reason=code.reason, reconnect=code.reconnect, need=code.need, retry_after_ms=0)
        said = json.loads(disconnect(bye, refreshes=False))
        assert {name: said[name] for name in ("reason", "reconnect")} == told[code]


def test_channels_and_limits():
    assert [channel.split()[0] for channel, _ in rows("channel")] == [PERSON, TOPIC, CONTROL]
    for said in (f"{SUBSCRIPTIONS} identifiers", f"{IDENTIFIER_LENGTH:,} characters", f"every {BEAT_SECONDS:.0f} s"):
        assert said in PAGE, said
