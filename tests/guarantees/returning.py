"""Many people who are signed in, without two hundred and fifty passwords being hashed."""

from typing import Any

from tests.support.crowd import Part


def sign_in(part: Part) -> list[dict[str, Any]]:
    from django.contrib.auth import get_user_model

    from tickets import tokens

    model = get_user_model()
    people = [model.objects.create(username=f"returning-{number}") for number in range(part.plan["count"])]
    return [{"access": tokens.sign_in(person).access} for person in people]
