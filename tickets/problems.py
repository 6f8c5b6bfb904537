"""The error that REST answers are made from. A module of its own: what REST views are made of, the parser and the
authenticators, raises it as well."""

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import APIException


class Problem(APIException):
    """Raise it in a view to answer with a problem document.

    `code` is for programs and stays as it is; `detail` is for people. `errors` names what is wrong with each field.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        errors: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.code = code
        self.errors = errors
        self.headers = dict(headers or {})
