"""Creates people in the database that the environment names: `python -m tests.support.people '{"usernames": …}'`."""

import json
import sys

import django


def create(*, usernames: list[str], password: str, staff: bool, permissions: list[str]) -> None:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import Permission

    hashed = make_password(password)
    granted = [
        Permission.objects.get(content_type__app_label=app, codename=codename)
        for app, codename in (permission.split(".") for permission in permissions)
    ]
    for username in usernames:
        user = get_user_model()(username=username, password=hashed, is_staff=staff, is_superuser=staff)
        user.save()
        user.user_permissions.set(granted)


if __name__ == "__main__":
    django.setup()
    create(**json.loads(sys.argv[1]))
