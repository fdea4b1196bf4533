"""Makes tokens (RFC 7519) that `fanfare token` would not make. Good ones, with its keys, come from there: see `minted`."""

import base64
import hashlib
import hmac
import json
import subprocess
import time


def minted(binary, key_file, subject, *options):
    """What `fanfare token` prints."""
    command = [binary, "token", "--key-file", key_file, "--subject", subject, *options]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, text=True)
    if done.returncode != 0:
        raise AssertionError(f"fanfare token: {done.stderr}")
    return done.stdout.strip()


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(secret, claims, header=None):
    """A token that is signed as HS256, whatever `header` says."""
    parts = [encoded(json.dumps(part).encode()) for part in (header or {"alg": "HS256", "typ": "JWT"}, claims)]
    signature = hmac.digest(secret, ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, encoded(signature)])


def soon(seconds=3600):
    return int(time.time()) + seconds
