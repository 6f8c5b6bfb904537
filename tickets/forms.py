"""Forms to sign in by, which say so when it was tried too often."""

import math
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import ngettext

from tickets import audit
from tickets.backends import too_often


class SignInForm(AuthenticationForm):
    def get_invalid_login_error(self) -> ValidationError:
        refused = too_often(self.request) if self.request else None
        if refused is None:
            return super().get_invalid_login_error()
        seconds = math.ceil(refused.retry_after)
        words = ngettext(
            "Too many attempts. Try again in %(seconds)d second.",
            "Too many attempts. Try again in %(seconds)d seconds.",
            seconds,
        )
        return ValidationError(words, code="rate_limited", params={"seconds": seconds})


class StaffSignInForm(SignInForm, AdminAuthenticationForm):
    """The same for the admin."""

    def confirm_login_allowed(self, user: Any) -> None:
        try:
            super().confirm_login_allowed(user)
        except ValidationError:  # the password was right, but they are no staff
            audit.record(audit.STAFF_ACTED, ok=False, action="sign_in", by=user.pk)
            raise
