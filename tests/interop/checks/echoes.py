"""The client library against echo servers on Python `websockets` and Node `ws`: text, binary, fragmented, compressed, 16 MiB."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(HERE))

SERVERS = {
    "Python websockets": [sys.executable, os.path.join(HERE, "clients", "echo_server.py")],
    "Node ws": ["node", os.path.join(HERE, "clients", "echo_server.mjs")],
}
# Without and with compression, and with a server that keeps its window; in one frame and in several.
CONVERSATIONS = 6


def run(context):
    # As the tests build it.
    build = ["cargo", "build", "--quiet", "--locked", "--workspace", "--example", "echo_client", "--message-format", "json"]
    built = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    client = executable(built.stdout)
    for library, command in SERVERS.items():
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = int(server.stdout.readline())
                done = subprocess.run(
                    [client, f"ws://127.0.0.1:{port}"], capture_output=True, timeout=120, text=True
                )
            finally:
                server.kill()
        for line in done.stdout.splitlines():
            context.holds(f"{library}, {line}", True)
        context.equal(f"{library}: all conversations were held", len(done.stdout.splitlines()), CONVERSATIONS)
        context.equal(f"{library}: nothing went wrong", (done.returncode, done.stderr.strip()), (0, ""))


def executable(messages):
    """Where cargo says that it put the program."""
    import json

    paths = [json.loads(line).get("executable") for line in messages.splitlines() if line.startswith("{")]
    return next(path for path in paths if path)
