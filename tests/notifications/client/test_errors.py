from notifications.client import errors


def test_all_are_errors_of_the_client_and_carry_what_a_program_asks_for():
    ended = errors.ConnectionEnded("A newer connection.", close_code=4504, reason="too_many_connections")
    unreachable = errors.Unreachable("Not now.", status=503, retry_after=2.0)
    refused = errors.Refused("No.", status=400, code="invalid", errors={"title": ["Too long."]})
    login = errors.SignInRequired("Sign in.", close_code=4501, reason="logged_out")
    assert all(isinstance(each, errors.ClientError) for each in (ended, unreachable, refused, login))
    assert (ended.close_code, login.reason, unreachable.retry_after) == (4504, "logged_out", 2.0)
    assert (refused.status, refused.code, refused.errors) == (400, "invalid", {"title": ["Too long."]})
