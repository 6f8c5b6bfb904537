"""`python -m tests.support_tests.saying WORDS…`: a script that prints what it should not."""

import sys

print(*sys.argv[1:])
