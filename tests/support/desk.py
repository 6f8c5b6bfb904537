"""Somebody of the staff at the admin, over HTTP and as in a browser."""

import re
from html import unescape

import httpx

from tests.support import canary

LIST = "/admin/notifications/connection/"
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


class Desk:
    """Cookies, CSRF token and forms like a browser's."""

    def __init__(self, site, username):
        hooks = {"response": [canary.hear]}
        self.http = httpx.AsyncClient(base_url=site.server.http, trust_env=False, timeout=15, event_hooks=hooks)
        self.username, self.password = username, site.stack.password_of(username)

    async def __aenter__(self):
        page = await self.get("/admin/login/")
        form = self.form(page) | {"username": self.username, "password": self.password, "next": "/admin/"}
        answer = await self.post("/admin/login/", form)
        assert answer.status_code == 302, answer.text
        return self

    async def __aexit__(self, *exc):
        await self.http.aclose()

    async def get(self, path, **query):
        return await self.http.get(path, params=query)

    async def post(self, path, form):
        return await self.http.post(path, data=form, headers={"Referer": str(self.http.base_url)})

    @staticmethod
    def form(page):
        return {name: unescape(value) for name, value in HIDDEN.findall(page.text)}

    async def shown(self, name):
        """The row of a connection in the list, as text; "" if there is none."""
        page = await self.get(LIST, q=name)
        assert page.status_code == 200, page.text
        row = re.search(r"<tr>(?:(?!</tr>).)*_selected_action.*?</tr>", page.text, re.DOTALL)
        return unescape(re.sub(r"<[^>]+>", " ", row[0])) if row else ""

    async def acts(self, path, action, *keys):
        """Choose rows and an action, and say yes on the page that asks."""
        token = self.form(await self.get(path))["csrfmiddlewaretoken"]
        chosen = {"csrfmiddlewaretoken": token, "action": action, "_selected_action": list(keys)}
        asked = await self.post(path, {**chosen, "index": "0", "select_across": "0"})
        if asked.status_code != 200:
            return asked
        return await self.post(path, self.form(asked) | {"_selected_action": list(keys)})
