import subprocess
import sys
import time

import psutil
import psycopg
import pytest
import redis

from tests.support.processes import ROOT, Process, free_port, wait_until
from tests.support.services import Postgres, Valkey


def test_postgres_keeps_its_data_and_address_over_a_kill():
    with Postgres() as postgres:
        url = postgres.create_database("one")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        copy = postgres.create_database(template="one")
        postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        postgres.restart()
        for each in (url, copy):
            with psycopg.connect(each) as connection:
                assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
        family = postgres.running.family()
    assert not any(process.is_running() for process in family)
    assert not postgres.directory.exists()


def test_a_paused_postgres_hangs_its_open_sessions_too():
    with Postgres() as postgres, postgres.connect() as connection:
        assert int(connection.execute("SHOW max_connections").fetchone()[0]) >= 200
        backend = psutil.Process(connection.info.backend_pid)
        postgres.pause()
        wait_until(lambda: backend.status() == psutil.STATUS_STOPPED, timeout=2, what="stopped backend")
        postgres.resume()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_valkey_hangs_while_paused_forgets_when_restarted_and_keeps_its_address():
    with Valkey() as valkey:
        with valkey.client() as client:
            client.set("a", "1")
        valkey.pause()
        with valkey.client() as client, pytest.raises(redis.TimeoutError):
            client.ping()
        valkey.resume()
        with valkey.client() as client:
            assert client.get("a") == b"1"
        valkey.kill()
        with valkey.client() as client, pytest.raises(redis.ConnectionError):
            client.ping()
        valkey.restart()
        with valkey.client() as client:
            assert client.get("a") is None


def test_a_process_that_will_not_end_is_killed(tmp_path):
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    process = Process([sys.executable, "-c", stubborn], log_path=tmp_path / "log")
    wait_until(lambda: "up" in process.log(), timeout=5, what="start")
    assert process.stop(timeout=0.2) == -9


def test_the_leash_ends_what_a_killed_test_run_left_behind(tmp_path):
    run = (
        "import pathlib, sys, time\n"
        "from tests.support.processes import Process\n"
        f"log = pathlib.Path({str(tmp_path / 'log')!r})\n"
        "print(Process([sys.executable, '-c', 'import time; time.sleep(60)'], log_path=log).pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", run], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.2)
        assert child.is_running()
        parent.kill()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_ports_are_never_given_twice_nor_from_the_range_of_outgoing_connections():
    ports = {free_port() for _ in range(50)}
    assert len(ports) == 50
    assert max(ports) < 32_768
