#!/usr/bin/env python3
"""A whole cluster on this machine: three nodes, and a page on which to watch them, kill them and start them again.

    python3 examples/cluster/run.py                    # Ctrl-C stops everything
    python3 examples/cluster/run.py --data-dir ./three # keeps what was stored, for the next time

Standard library only; Python 3.11. For trying out: the nodes run with `--dev`, whose keys everybody knows, and everything
listens on 127.0.0.1 alone.
"""

import argparse
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from load import Load
from nodes import Cluster
from watch import serve

ROOT = Path(__file__).resolve().parents[2]


def main():
    given = arguments()
    with contextlib.ExitStack() as at_the_end:
        if given.data_dir is None:
            home = Path(at_the_end.enter_context(tempfile.TemporaryDirectory(prefix="carillon-cluster-")))
        else:
            home = given.data_dir.resolve()
        page_port, ports = ports_from(given.port, given.nodes)
        cluster = Cluster(binary(given.binary), home, ports)
        load = Load(cluster)
        at_the_end.callback(cluster.stop)
        at_the_end.callback(load.stop)
        # Before anything is started, so that nothing is left behind.
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(one, stop)
        print(f"Starting {given.nodes} nodes …", flush=True)
        cluster.start()
        page = at_the_end.enter_context(serve(cluster, load, page_port))
        print(greeting(cluster, page.server_port), flush=True)
        page.serve_forever()


def arguments():
    parser = argparse.ArgumentParser(description="A whole cluster on this machine, and a page on which to watch it.")
    parser.add_argument("--nodes", type=int, default=3, choices=(3, 4, 5))
    parser.add_argument("--port", type=int, default=8000,
                        help="the page's; the nodes have those after it, and peers listen 1000 further on. 0: any that are free")
    parser.add_argument("--data-dir", type=Path, help="where everything is kept; by default nothing is, afterwards")
    parser.add_argument("--binary", type=Path, help="a built carillon; by default it is built, or found")
    return parser.parse_args()


def binary(given):
    """The program: the one that was named, or built from here, or installed."""
    if given is not None:
        if not given.is_file():
            sys.exit(f"{given} is not there")
        return given.resolve()
    if shutil.which("cargo"):
        print("Building Carillon; the first time that takes some minutes …", flush=True)
        if subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "carillon"], cwd=ROOT).returncode:
            sys.exit("it could not be built; see above")
    built = ROOT / "target/release/carillon"
    found = built if built.is_file() else shutil.which("carillon")
    if not found:
        sys.exit("there is no carillon: install Rust (https://rustup.rs), or name a built one with --binary")
    return Path(found)


def ports_from(first, count):
    """The page's port, and for each node where it serves and where it listens to its peers."""
    if first == 0:
        # All at once, so that they differ.
        with contextlib.ExitStack() as sockets:
            free = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(2 * count)]
        return 0, list(zip(free[::2], free[1::2]))
    ports = [(first + n, first + 1000 + n) for n in range(1, count + 1)]
    for port in [first, *(port for pair in ports for port in pair)]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                sys.exit(f"127.0.0.1:{port} cannot be had ({error.strerror}): stop what listens there, or choose another --port")
    return first, ports


def stop(*_):
    # Once is enough; whoever asks again must not cut the stop short.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    print("\nStopping …", flush=True)
    raise SystemExit(0)


def greeting(cluster, page_port):
    first, second, *_ = cluster.nodes
    sockets = " ".join(f"ws://{node.address}" for node in cluster.nodes)
    return f"""The nodes are one cluster (on this machine only; secret and keys are public).

  Watch  http://127.0.0.1:{page_port}/   kill, pause and start nodes
  Open   http://{first.address}/?as=alice  and  http://{second.address}/?as=bob : two users at two nodes
  Try    kill the leader, and send a notification at one of the others: it is answered again after a second
  Follow python3 {relative(ROOT / "examples/python/inbox.py")} {sockets} \\
           --token "$({relative(cluster.binary)} token --dev --user 1)"
  Logs   {cluster.home}/node-*.log

Stop with Ctrl-C."""


def relative(path):
    """As somebody would write it who stands here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    main()
