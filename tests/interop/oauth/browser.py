"""A browser that signs in and consents, for `sidepass authorize`."""

import http.cookiejar
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request

from processes import Failure, Sidepass
from row import fails

_URL = re.compile(r"https?://\S+response_type=code\S*")
_ACTION = re.compile(r'<form[^>]* action="([^"]+)"')
_PROMPT = re.compile(r'name="prompt" value="([^"]+)"')
# Sign in, consent, and a redirect or two for each.
MAX_PAGES = 12


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Browser:
    """Keeps cookies; shows every redirect."""

    def __init__(self, ca_file):
        context = ssl.create_default_context(cafile=ca_file)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
            _NoRedirect,
        )

    def open(self, url, form=None):
        """Status, where it sends us, and the page."""
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            with self._opener.open(url, data, timeout=10) as response:
                return response.status, None, response.read().decode()
        except urllib.error.HTTPError as error:
            where = error.headers.get("Location")
            return error.code, where and urllib.parse.urljoin(url, where), error.read().decode()


def consent(url, account, ca_file):
    """From the authorization URL over sign-in and consent to the client's redirect; its answer."""
    browser = Browser(ca_file)
    origin = urllib.parse.urlsplit(url).netloc
    form = None
    for _ in range(MAX_PAGES):
        status, where, page = browser.open(url, form)
        form = None
        if where:
            url = where
            continue
        if urllib.parse.urlsplit(url).netloc != origin:
            return status, page
        action, prompt = _ACTION.search(page), _PROMPT.search(page)
        if not action:
            raise Failure(f"{status} of {url}: {page[:400]}")
        url = urllib.parse.urljoin(url, action[1])
        form = {"prompt": prompt[1], "login": account, "password": "any"}
    raise Failure("the browser is sent from page to page")


def authorize(run, visit):
    """`sidepass authorize`, while `visit(url)` does what a person would with a browser."""
    command = Sidepass(run.world.binary, "authorize", "interop", "--no-browser", "--config", str(run.sidepass.file))
    with command as process:
        line = process.wait_for("authorization URL", _URL.search, 10)
        url = _URL.search(line)[0]
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
        fails("PKCE or state is missing", query.get("code_challenge_method") != ["S256"] or not query.get("state"))
        status, page = visit(url)
        fails(f"the redirect was answered with {status}: {page[:300]}", status != 200)
        code = process.process.wait(10)
        fails(f"exit code {code}: {process.text()}", code != 0)
