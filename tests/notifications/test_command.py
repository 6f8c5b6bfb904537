import subprocess
import sys

import pytest

from tests.support.processes import ROOT


def run(*arguments, without=""):
    """As the installed script does. `without`: a package that is not there."""
    program = f"import sys; sys.modules[{without!r}] = None; from notifications.command import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_is_the_terminal_client():
    done = run("tail", "--help")
    assert done.returncode == 0
    assert "--resume" in done.stdout


@pytest.mark.parametrize("package", ["httpx2", "websockets"])
def test_it_says_what_it_needs(package):
    done = run("tail", without=package)
    assert done.returncode == 2
    assert done.stderr == f"usher: {package} is not installed: pip install 'usher[client]'\n"
