"""What a stack has done for it in a process that has loaded Django."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.crowd import Part


def manage(part: "Part") -> int:
    """`manage.py` with the plan's `arguments`; its exit code."""
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(["manage.py", *part.plan["arguments"]])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def create(part: "Part") -> None:
    """People of these `usernames` with one `password`, `staff` or not, with `permissions`; staff without any named may
    do everything."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import Permission

    plan = part.plan
    hashed = make_password(plan["password"])
    granted = [
        Permission.objects.get(content_type__app_label=app, codename=codename)
        for app, codename in (permission.split(".") for permission in plan["permissions"])
    ]
    roles = {"is_staff": plan["staff"], "is_superuser": plan["staff"] and not granted}
    for username in plan["usernames"]:
        user = get_user_model()(username=username, password=hashed, **roles)
        user.save()
        user.user_permissions.set(granted)
