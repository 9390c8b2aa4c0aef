"""The page, and what it asks for: the state of all nodes, and things to do to them.

The nodes are asked from here, so no key is in the page, and a page of one origin sees all of them. It can kill processes, so
it listens on 127.0.0.1, answers no other name (a stranger's page that has its name point here), and does nothing for a
request without the token that is in the page (a stranger's page that posts a form).
"""

import hmac
import json
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATIC = HERE.parents[1] / "static/dev"
BODY_BYTES_MAX = 1024

# The look is the development page's.
FILES = {
    "/": (HERE / "page/index.html", "text/html; charset=utf-8"),
    "/watch.css": (HERE / "page/watch.css", "text/css"),
    "/watch.js": (HERE / "page/watch.js", "text/javascript"),
    "/static/dev/page.css": (STATIC / "page.css", "text/css"),
    "/static/dev/view.js": (STATIC / "view.js", "text/javascript"),
    "/static/dev/icon.svg": (STATIC / "icon.svg", "image/svg+xml"),
}
ACTIONS = ("start", "kill", "pause", "resume")
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def serve(cluster, load, port):
    """A server that is bound and does not serve yet."""
    token = secrets.token_urlsafe(16)

    class Handler(Page):
        pass

    Handler.cluster, Handler.load, Handler.token = cluster, load, token
    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


class Page(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self):
        if not self._is_for_us():
            return
        if self.path == "/nodes":
            self._answer(200, {"nodes": self.cluster.states(), "load": self.load.state()})
        elif self.path in FILES:
            path, kind = FILES[self.path]
            text = path.read_text()
            self._send(200, text.replace("{{token}}", self.token) if self.path == "/" else text, kind)
        else:
            self._answer(404, {"error": "there is no such page"})

    def do_POST(self):
        if not self._is_for_us():
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            return self._answer(413, {"error": f"a body of at most {BODY_BYTES_MAX} bytes is needed"})
        body = self.rfile.read(int(length))
        if not hmac.compare_digest(self.headers.get("X-Watch-Token", "").encode(), self.token.encode()):
            return self._answer(403, {"error": "the page is of an earlier run: load it again"})
        try:
            said = json.loads(body)
            done = self._do(said)
        except (ValueError, KeyError, TypeError, AttributeError):
            done = False
        self._answer(200 if done else 422, {} if done else {"error": "there is no such node or no such thing to do"})

    def _do(self, said):
        if self.path == "/load":
            self.load.switch(said["is_on"] is True)
            return True
        node = next((node for node in self.cluster.nodes if node.number == said["number"]), None)
        if self.path != "/do" or node is None or said["action"] not in ACTIONS:
            return False
        getattr(node, said["action"])()
        return True

    def _is_for_us(self):
        names = {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}
        host, origin = self.headers.get("Host"), self.headers.get("Origin")
        if host in names and origin in {None, *(f"http://{name}" for name in names)}:
            return True
        self.close_connection = True
        self._answer(403, {"error": f"only http://127.0.0.1:{self.server.server_port} is answered"})
        return False

    def _answer(self, status, body):
        self._send(status, json.dumps(body), "application/json")

    def _send(self, status, text, kind):
        content = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), "Cache-Control": "no-store",
                            "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff",
                            "Referrer-Policy": "no-referrer"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """A page that asks every second would be all that there is to read."""
