"""The table that the JavaScript client goes by is the server's own, and cannot be changed at run time."""

import json

from notifications.wire.closing import CloseCode

PRINT = """
import { CLOSE_CODES } from "./static/usher/closing.js";
const frozen = [CLOSE_CODES, ...Object.values(CLOSE_CODES)].every(Object.isFrozen);
console.log(JSON.stringify({ codes: CLOSE_CODES, frozen }));
"""


def test_the_close_codes(run_node):
    said = json.loads(run_node("--input-type=module", "--eval", PRINT))
    assert said["codes"] == {
        str(int(code)): {"reason": code.reason, "reconnect": code.reconnect, "need": str(code.need)}
        for code in CloseCode
    }
    assert said["frozen"]
