"""Runs nginx and haproxy with the configurations of docs/proxies.md, on loopback ports."""

import os
import random
import shlex
import shutil
import socket
import subprocess
import time

from support.pages import blocks, replaced

HOST = "push.example.org"
# Linux has the whole of 127.0.0.0/8: the backend's machine, as far as a proxy can tell.
BACKEND = "127.0.0.2"
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def free_ports(count):
    """Ports below those that the system gives out by itself: no other check that runs meanwhile gets one by chance."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest = int(file.read().split()[0])
    ports = []
    while len(ports) < count:
        port = random.randrange(max(1024, lowest - 10_000), lowest)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        if port not in ports:
            ports.append(port)
    return ports


class Certificate:
    """A certificate that signs itself, for `HOST`."""

    def __init__(self, folder):
        self.certificate = os.path.join(folder, "push.pem")
        self.key = os.path.join(folder, "push.key")
        self.both = os.path.join(folder, "push.both.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-keyout", self.key, "-out", self.certificate, "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"],
            check=True, capture_output=True, timeout=60,
        )
        with open(self.both, "w") as both:
            for part in (self.certificate, self.key):
                with open(part) as file:
                    both.write(file.read())


def options():
    """The daemon's options as the page has them, but for where it listens, and with any port for the proxy's own pages."""
    (command,) = blocks("proxies.md", "sh")
    command = replaced(command, {"fanfare serve --listen 127.0.0.1:8040": "", f"https://{HOST}": f"https://{HOST}:*"})
    return shlex.split(command.replace("\\\n", " "))


class Proxy:
    """A running proxy. Ends, by its pid, with the block."""

    def __init__(self, name, command, port):
        self.name = name
        self.port = port
        self.url = f"wss://{HOST}:{port}/"
        self.program = shutil.which(command[0], path=PATH)
        if self.program is None:
            raise AssertionError(f"{command[0]} is not installed")
        self.process = subprocess.Popen(
            [self.program, *command[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    said = self.process.stderr.read().decode(errors="replace")
                    raise AssertionError(f"{name} does not listen: {said[-800:]}") from None
                time.sleep(0.02)

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


def nginx(folder, certificate, servers, *, timeout="75s", password_file=None, site_port=None):
    """nginx as the page has it, in front of the daemons at these ports."""
    base, lock, login = blocks("proxies.md", "nginx")
    port = free_ports(1)[0]
    options = " max_fails=0" if len(servers) > 1 else ""
    upstream = "".join(f"    server 127.0.0.1:{server}{options};\n" for server in servers)
    text = replaced(base, {
        "    server 127.0.0.1:8040;\n": upstream,
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/push.example.org.pem": certificate.certificate,
        "/etc/ssl/push.example.org.key": certificate.key,
        "10.0.0.0/8": f"{BACKEND}/32",
        "75s": timeout,
    })
    if password_file:
        lock = replaced(lock, {"/etc/nginx/fanfare.htpasswd": password_file})
        text = replaced(text, {"    location / {\n": "    location / {\n" + lock})
    if site_port:
        login = replaced(login, {"127.0.0.1:3000": f"127.0.0.1:{site_port}"})
        text = text.rstrip().removesuffix("}") + login + "}\n"
    site = os.path.join(folder, f"nginx-{port}.site")
    main = os.path.join(folder, f"nginx-{port}.conf")
    with open(site, "w") as file:
        file.write(text)
    paths = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(main, "w") as file:
        file.write(
            f"daemon off;\nmaster_process off;\npid {folder}/nginx-{port}.pid;\nerror_log stderr warn;\n"
            f"events {{ worker_connections 1024; }}\nhttp {{\n  access_log off;\n{paths}  include {site};\n}}\n"
        )
    return Proxy("nginx", ["nginx", "-e", "stderr", "-p", folder, "-c", main], port)


def haproxy(folder, certificate, servers, *, timeout="75s"):
    """haproxy as the page has it, in front of the daemons at these ports."""
    (base,) = blocks("proxies.md", "haproxy")
    port = free_ports(1)[0]
    names = ("one", "two")
    upstream = "".join(f"    server {name} 127.0.0.1:{server} check\n" for name, server in zip(names, servers))
    text = replaced(base, {
        "    server one 127.0.0.1:8040 check\n": upstream,
        "bind :443 ssl": f"bind 127.0.0.1:{port} ssl",
        "/etc/ssl/push.example.org.both.pem": certificate.both,
        "10.0.0.0/8": f"{BACKEND}/32",
        "75s": timeout,
    })
    path = os.path.join(folder, f"haproxy-{port}.cfg")
    with open(path, "w") as file:
        file.write("global\n    maxconn 1000\n" + text)
    return Proxy("haproxy", ["haproxy", "-db", "-f", path], port)
