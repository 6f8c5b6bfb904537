from django.http import HttpResponse

from tests.support.pages import words_of


def test_random_tokens_are_no_words():
    token = '<input type="hidden" name="csrfmiddlewaretoken" value="zwaJTIu5">'
    page = f'<form>{token}</form><input name="jti" value="x"><form>{token}</form>'
    shown = words_of(HttpResponse(page))
    assert shown.lower().count("jti") == 1 and '<input name="jti" value="x">' in shown


def test_the_admin_writes_its_tokens_so(admin_client):
    page = admin_client.get("/admin/auth/user/")
    token = str(page.context["csrf_token"])
    assert token in page.content.decode() and token not in words_of(page)
