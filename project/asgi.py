"""HTTP to Django, sockets to the consumer: the application that daphne and uvicorn serve."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# First: it loads the apps that everything imported below belongs to.
http = get_asgi_application()

from notifications.asgi import with_usher  # noqa: E402
from notifications.servers import collecting  # noqa: E402

application = with_usher(http)

collecting.install()  # last: what was loaded so far stays
