"""Nodes as processes: started, asked, paused, killed."""

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

# What everybody knows: the key of `serve --dev`.
KEY = "dev"
ASK_SECONDS = 1
START_SECONDS = 60
# drain.seconds, 5 s for clients that do not answer, and some.
STOP_SECONDS = 20


class Cluster:
    """Some nodes with one secret."""

    def __init__(self, binary, home, ports):
        self.binary, self.home = binary, home
        home.mkdir(parents=True, exist_ok=True)
        secret = home / "secret"
        if not secret.exists():
            # Kept: a directory that is used again has to have it again.
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_urlsafe(32))
        peers = ",".join(f"{n}=127.0.0.1:{peer}" for n, (_, peer) in enumerate(ports, 1))
        shared = {"CARILLON_CLUSTER__PEERS": peers, "CARILLON_CLUSTER__SECRET_FILE": str(secret)}
        self.nodes = [Node(self, n, serves, peer, shared) for n, (serves, peer) in enumerate(ports, 1)]
        self._asking = ThreadPoolExecutor(len(ports))

    def start(self):
        """Starts all, and waits until each is ready; a cluster is formed once all of its founders are there."""
        for node in self.nodes:
            node.start()
        until = time.monotonic() + START_SECONDS
        for node in self.nodes:
            while not node.is_ready():
                if node.exit_code() is not None:
                    sys.exit(f"node {node.number} has ended with {node.exit_code()}:\n{node.last_words()}")
                if time.monotonic() > until:
                    sys.exit(f"node {node.number} is not ready after {START_SECONDS} s:\n{node.last_words()}")
                time.sleep(0.05)

    def states(self):
        """What each node says of itself and of the cluster; all are asked at once."""
        return list(self._asking.map(Node.state, self.nodes))

    def stop(self):
        """Lets all drain; whoever does not is killed."""
        for node in self.nodes:
            node.terminate()
        for node in self.nodes:
            node.wait(STOP_SECONDS)
        self._asking.shutdown()


class Node:
    """One of them, by its number."""

    def __init__(self, cluster, number, port, peer_port, shared):
        self.number, self.port, self.address = number, port, f"127.0.0.1:{port}"
        self._log = cluster.home / f"node-{number}.log"
        self._command = [cluster.binary, "serve", "--dev", "--listen", self.address,
                         "--data-dir", cluster.home / f"node-{number}"]
        # Settings that happen to be in the environment are of another server.
        own = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
        self._environment = own | shared | {
            "CARILLON_SERVER__NODE_ID": str(number),
            "CARILLON_CLUSTER__LISTEN": f"127.0.0.1:{peer_port}",
            # A balancer on this machine is believed when it says whom it speaks for.
            "CARILLON_SERVER__TRUSTED_PROXIES": '["127.0.0.1"]',
            "CARILLON_DRAIN__SECONDS": "1",
        }
        self._process, self._is_paused = None, False
        self._turn = threading.Lock()

    def start(self):
        with self._turn:
            if self.exit_code() is None and self._process:
                return
            self._is_paused = False
            with self._log.open("ab") as log:
                # In a session of its own: Ctrl-C is for whoever started it, who then says goodbye to each.
                self._process = subprocess.Popen(self._command, env=self._environment, stdin=subprocess.DEVNULL,
                                                 stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)

    def kill(self):
        """As a power cut does."""
        self._signal(signal.SIGKILL)
        if self._process:
            self._process.wait()

    def pause(self):
        """It lives, holds its connections, and does nothing."""
        self._signal(signal.SIGSTOP)
        self._is_paused = True

    def resume(self):
        self._signal(signal.SIGCONT)
        self._is_paused = False

    def terminate(self):
        self.resume()
        self._signal(signal.SIGTERM)

    def wait(self, seconds):
        try:
            if self._process:
                self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def exit_code(self):
        """Once it has ended; negative for a signal."""
        return self._process.poll() if self._process else None

    def last_words(self):
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])

    def is_ready(self):
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def state(self):
        """For the page."""
        state = {"number": self.number, "address": self.address, "exit_code": self.exit_code(), "process": "runs"}
        if self.exit_code() is not None:
            state["process"] = "ended"
        elif self._is_paused:
            state["process"] = "paused"
        else:
            try:
                state["ready"] = self.ask("GET", "/readyz")[1].get("status")
                state["stats"] = self._answer("/api/v1/stats")
                state["cluster"] = self._answer("/api/v1/cluster")
            except OSError:
                # Not listening yet, or too busy to answer: there is nothing to show.
                pass
        return state

    def ask(self, method, path, body=None, headers=None):
        """One call: the status and the body. An OSError if there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ASK_SECONDS)
        try:
            given = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"} | (headers or {})
            connection.request(method, path, None if body is None else json.dumps(body), given)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"node {self.number}: {error}") from error
        finally:
            connection.close()

    def _answer(self, path):
        status, body = self.ask("GET", path)
        return body if status == 200 else None

    def _signal(self, which):
        with self._turn:
            # Asked first: a number may belong to another process once this one has been waited for.
            if self._process and self._process.poll() is None:
                self._process.send_signal(which)
