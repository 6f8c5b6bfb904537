"""The JavaScript's own tests and its types, as part of `pytest`."""

import re

from tests.support.processes import ROOT

TSC = "node_modules/typescript/bin/tsc"


def test_the_tests_in_javascript(run_node):
    files = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "js").glob("*.test.js"))
    # One by one: `node --test` takes a folder in some versions only, and may find nothing to run without a word.
    said = run_node("--test", "--test-reporter=tap", *files)
    passed = re.search(r"^# pass (\d+)$", said, re.MULTILINE)
    assert passed, said
    assert int(passed[1]) > 100, said
    assert re.search(r"^# skipped 0$", said, re.MULTILINE), said


def test_the_types_in_a_page(run_node, packages):
    run_node(TSC, "-p", ".")


def test_the_types_of_the_client_where_there_is_no_page(run_node, packages):
    run_node(TSC, "-p", "tests/js")
