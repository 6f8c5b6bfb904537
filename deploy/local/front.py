"""nginx for `make run-scaled`: what deploy/nginx ships, without TLS, in a directory of its own."""

import os
import shutil
from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[1] / "nginx" / "usher"

# Everything it would write elsewhere is named, so that an ordinary user may run it.
CONFIGURATION = """\
daemon off;
pid {directory}/nginx.pid;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {shipped}/http.conf;
    upstream usher {{
        zone usher_processes 64k;
        least_conn;
{processes}
    }}
    server {{
        listen {host}:{port};
        access_log {directory}/access.log usher;
        include {shipped}/site.conf;
    }}
}}
"""


def find() -> str | None:
    """The program, if it is installed; Debian keeps it where ordinary users do not look. `NGINX=` names another one, or
    none."""
    places = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    return shutil.which(os.environ.get("NGINX", "nginx"), path=places)


def configure(directory: Path, *, host: str, port: int, sockets: list[Path]) -> Path:
    """Write the configuration for these processes into the directory. Returns its path."""
    processes = "\n".join(f"        server unix:{socket} max_fails=0;" for socket in sockets)
    path = directory / "nginx.conf"
    path.write_text(
        CONFIGURATION.format(directory=directory, shipped=SHIPPED, processes=processes, host=host, port=port)
    )
    return path


def command(program: str, configuration: Path) -> list[str]:
    return [program, "-e", "stderr", "-p", str(configuration.parent), "-c", str(configuration)]
