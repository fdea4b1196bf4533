"""The metrics, read by Prometheus' own parser, and the names in the alerts."""

import json
import os
import re
import urllib.error
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support.wire import RawClient

ALERTS = os.path.join(os.path.dirname(__file__), "../../../docs/alerts.yaml")


def run(context):
    with context.daemon("--admin", "127.0.0.1:0", "--metrics-channel", 'a"b\\.>') as daemon:
        line = daemon.wait_log(lambda line: "administration on" in line, 20)
        admin = "http://" + re.search(r"127\.0\.0\.1:\d+", line).group()
        subscribers = [RawClient(daemon.address) for _ in range(3)]
        for client in subscribers:
            client.subscribe('a"b\\.c')
        for number in range(5):
            subscribers[0].publish('a"b\\.c', b"%d" % number)
        for client in subscribers[1:]:
            for _ in range(5):
                client.until("message")
        counts(context, admin)
        readiness(context, admin, daemon)
        drained(context, admin, subscribers)


def get(url, **more):
    with urllib.request.urlopen(urllib.request.Request(url, **more), timeout=20) as response:
        return response.headers["Content-Type"], response.read().decode()


def counts(context, admin):
    kind, text = get(admin + "/metrics")
    context.holds("/metrics says that it is OpenMetrics 1.0", kind.startswith("application/openmetrics-text; version=1.0.0"), kind)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {}
    for family in families.values():
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample)
    context.holds("Prometheus' parser reads all of them", len(families) > 25, f"{len(families)} families, {len(text)} bytes")
    context.holds("each has a help text", all(family.documentation for family in families.values()))
    context.equal("what was published is counted", samples["fanfare_published_total"][0].value, 5)
    context.equal("and what was delivered", samples["fanfare_deliveries_total"][0].value, 15)
    apart = samples["fanfare_channel_published_total"][0]
    context.equal("and apart where it was asked for, by a name that needs escapes", (apart.labels["pattern"], apart.value), ('a"b\\.>', 5))
    with open(ALERTS) as file:
        names = set(re.findall(r"fanfare_[a-z_]+", file.read()))
    known = set(samples) | set(families)
    context.equal("each metric in the alerts is there", sorted(names - known), [])


def readiness(context, admin, daemon):
    for address in (admin, daemon.http):
        context.equal("it is ready", get(address + "/readyz")[1], "ready\n")
    config = json.loads(get(admin + "/config")[1])
    context.equal("the configuration has origins", config["settings"]["admin"]["origin"]["flag"], "--admin")
    answer = json.loads(get(admin + "/reload", data=b"", method="POST")[1])
    context.equal("a reload says that nothing has changed", answer, {"changed": [], "needs_restart": []})


def drained(context, admin, subscribers):
    get(admin + "/drain", data=b"", method="POST")
    ends = [client.until_closed() for client in subscribers]
    context.equal("a drain closes every client with 1001", {end.code for end in ends}, {1001})
    try:
        get(admin + "/readyz")
        status = 200
    except urllib.error.HTTPError as error:
        status = error.code
    context.equal("and the daemon is not ready any more", status, 503)
