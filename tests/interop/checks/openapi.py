"""docs/openapi.yaml against the running daemon, by schemathesis: what is asked as it says is answered as it says."""

import os
import re
import subprocess
import sys

from support.tokens import minted

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DOCUMENT = os.path.join(ROOT, "docs", "openapi.yaml")

# A stream has no end.
STREAMS = "streams"
# What the administrator's address alone answers. A drain ends what is asked after it; the check `metrics` asks for one.
ADMINISTRATION = "admin listener"
DRAIN = "/drain"
# Whether all is refused that the document does not describe is not asked: it describes less than what is taken. Of what a channel holds two
# parameters exclude each other, which the format has no way to say.
SETTINGS = """
[checks]
negative_data_rejection.enabled = false
use_after_free.enabled = false
ensure_resource_availability.enabled = false
object_level_authorization.enabled = false

[[operations]]
include-operation-id = "readChannel"
checks.positive_data_acceptance.enabled = false
"""
EXAMPLES = 20
FULL_EXAMPLES = 200
PATIENCE_SECONDS = 110
FULL_PATIENCE_SECONDS = 230

RULES = """
[[allow]]
who = "anonymous"
subscribe = [">"]
publish = [">"]
"""


def run(context):
    secret = context.path("openapi.secret")
    with open(secret, "w") as file:
        file.write("a secret of the check, longer than thirty-two bytes")
    rules = context.path("openapi.toml")
    with open(rules, "w") as file:
        file.write(RULES)
    token = minted(context.binary, secret, "who administers it", "--admin", "--expires", "1h")
    with context.daemon("--config", rules, "--jwt-secret-file", secret, "--admin", "127.0.0.1:0") as daemon:
        line = daemon.wait_log(lambda line: "administration on" in line, 20)
        admin = "http://" + re.search(r"127\.0\.0\.1:\d+", line).group()
        everywhere = ["--exclude-tag", STREAMS, "--exclude-tag", ADMINISTRATION]
        conforms(context, "what the document describes", daemon, daemon.http, token, everywhere)
        there = ["--include-tag", ADMINISTRATION, "--exclude-path", DRAIN]
        conforms(context, "what the administrator's address has beside that", daemon, admin, token, there)


def conforms(context, what, daemon, url, token, chosen):
    examples, seconds = (FULL_EXAMPLES, FULL_PATIENCE_SECONDS) if context.full else (EXAMPLES, PATIENCE_SECONDS)
    # It looks for its settings where it is started.
    with open(context.path("schemathesis.toml"), "w") as file:
        file.write(SETTINGS)
    command = [
        os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run", DOCUMENT, "--url", url, "--no-color",
        "--header", f"Authorization: Bearer {token}", "--phases", "examples,coverage,fuzzing",
        "--mode", "all", "--max-examples", str(examples), "--seed", str(context.seed), "--request-timeout", "10",
        "--generation-database", "none", "--warnings", "off", *chosen,
    ]
    done = subprocess.run(command, cwd=context.folder, capture_output=True, text=True, timeout=seconds)
    said = done.stdout
    cases = re.search(r"(\d+) generated", said)
    sentence = f"{what} is answered as it says"
    if not context.holds(sentence, done.returncode == 0 and cases, f"{cases.group(1)} requests" if cases else ""):
        for line in (said + done.stderr).splitlines()[-120:]:
            context.note(line)
    context.equal("and the daemon goes on", daemon.process.poll(), None)
