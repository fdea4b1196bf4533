"""A page in headless Chromium subscribes, publishes and receives with `new WebSocket(url)`."""

from support.groups import Groups


def run(context):
    with context.daemon() as daemon, Groups() as groups:
        groups.start("browser.mjs", url=daemon.url, page=daemon.http + "/", profile=context.path("chromium"))
        ((_, event),) = groups.collect("done", 1, 100)
        for result in event["results"]:
            offered = result["offered"] or "no sub-protocol"
            context.equal(f"offering {offered}, the page is given what it offered", result["protocol"], result["offered"])
            context.holds(
                f"offering {offered}, permessage-deflate is negotiated",
                result["extensions"].startswith("permessage-deflate"), result["extensions"] or "not negotiated",
            )
            context.equal(f"offering {offered}, the page is welcomed", result["welcome"], "json.fanfare.v1")
            context.equal(
                f"offering {offered}, it gets what it publishes, in order, however written",
                result["received"], result["published"],
            )
            context.equal(f"offering {offered}, `since` brings back what it missed", result["resumed"], result["published"][2:])
            context.equal(f"offering {offered}, the connection ends cleanly", result["closed"], {"code": 1000, "clean": True})
        context.equal("the page of `GET /` loads", event["title"] != "", True)
