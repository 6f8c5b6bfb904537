"""Server processes as systemd starts them, and the shipped nginx in front of them, both in a directory of their own."""

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.local import places
from tests.support.processes import ROOT, Process, free_port, wait_until
from tests.support.stack import Stack

DEPLOY = ROOT / "deploy"
NAME = "localhost"
METRICS_TOKEN = "a-token-that-nobody-guesses"

Change = Callable[[str], str]


class Fleet:
    """Processes on unix sockets `<directory>/<number>/http.sock`, started with deploy/serve."""

    def __init__(self, stack: Stack, directory: Path, *, processes: int = 2) -> None:
        self.directory = directory
        self.processes: list[Process] = []
        for number in range(1, processes + 1):
            self.socket(number).parent.mkdir(parents=True)
            command = [str(DEPLOY / "serve"), "--uds", str(self.socket(number))]
            self.processes.append(Process(command, log_path=stack.log_path(f"serve-{number}"), env=stack.env))
        for number in range(1, processes + 1):
            answers = places.at_socket(self.socket(number))
            wait_until(lambda answers=answers: places.answers(answers), timeout=60, what=f"server process {number}")

    def socket(self, number: int) -> Path:
        return self.directory / str(number) / "http.sock"

    def log(self) -> str:
        return "".join(process.log() for process in self.processes)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.stop(timeout=15)


class Front:
    """nginx with deploy/nginx as shipped, but for its ports, paths and name. Is to a Person what a Server is."""

    def __init__(
        self, nginx: str, directory: Path, *, stack: Stack, sockets: Path, certificate: Path, change: Change = str
    ) -> None:
        self.nginx = nginx
        self.sockets = sockets
        self.directory = directory
        self.stack = stack
        self.port, self.plain_port = free_port(), free_port()
        self.metrics_ports = free_port(), free_port()
        self.http, self.ws = f"https://{NAME}:{self.port}", f"wss://{NAME}:{self.port}"
        self.plain = f"http://{NAME}:{self.plain_port}"
        self.certificate = certificate
        self._lay_out(sockets, change)
        self.process: Process | None = None

    def command(self, *options: str) -> list[str]:
        return [
            self.nginx,
            "-e",
            "stderr",
            "-p",
            str(self.directory),
            "-c",
            str(self.directory / "nginx.conf"),
            *options,
        ]

    def start(self) -> None:
        self.process = Process(self.command(), log_path=self.directory / "log" / "nginx.log")
        wait_until(self._listens, timeout=20, what="nginx")

    def stop(self) -> None:
        if self.process:
            self.process.stop()

    def logs(self) -> str:
        """Everything that nginx wrote anywhere."""
        return "".join(path.read_text(errors="replace") for path in sorted((self.directory / "log").iterdir()))

    def _listens(self) -> bool:
        assert self.process is not None
        if self.process.returncode is not None:
            raise RuntimeError(self.process.log())
        places.at("127.0.0.1", self.port)().close()
        return True

    def _lay_out(self, sockets: Path, change: Change) -> None:
        self.directory.chmod(0o711)
        shutil.copytree(DEPLOY / "nginx", self.directory, dirs_exist_ok=True)
        for name in ("log", "temporary"):
            (self.directory / name).mkdir()
        replaced = {
            "listen 443": f"listen 127.0.0.1:{self.port}",
            "listen 80": f"listen 127.0.0.1:{self.plain_port}",
            "127.0.0.1:9401": f"127.0.0.1:{self.metrics_ports[0]}",
            "127.0.0.1:9402": f"127.0.0.1:{self.metrics_ports[1]}",
            "usher.example": NAME,
            "/etc/ssl/usher": str(self.certificate),
            "/var/log/nginx": str(self.directory / "log"),
            "/run/usher": str(sockets),
        }
        for path in [*self.directory.glob("conf.d/*"), *self.directory.glob("usher/*")]:
            # A container may have no IPv6.
            text = "\n".join(line for line in path.read_text().splitlines() if "listen [::]" not in line)
            for old, new in replaced.items():
                text = text.replace(old, new)
            path.write_text(change(text))
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {self.directory}/temporary/{kind};" for kind in kinds)
        (self.directory / "nginx.conf").write_text(
            f"daemon off; pid {self.directory}/nginx.pid; worker_processes 2; events {{ worker_connections 1024; }}\n"
            f"http {{ {temporary} include conf.d/*.conf; }}\n"
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def make_certificate(directory: Path) -> Path:
    """A directory with fullchain.pem and privkey.pem of a day, for NAME, signed by nobody else."""
    directory.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "privkey.pem").write_bytes(private)
    return directory


class Place:
    """A site at an address, to Persons: what a Server is, of which only the address is known."""

    def __init__(self, http: str) -> None:
        self.http = http
        self.ws = http.replace("http", "ws", 1)
        self.stack = self

    @staticmethod
    def password_of(username: str) -> str:
        """Demo people's password is their name."""
        return username
