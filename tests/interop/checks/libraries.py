"""Python `websockets` and Node `ws` negotiate, speak the sub-protocol, echo, and read the closes."""

from support.groups import Groups

CLIENTS = {"Python websockets": "python_roundtrip.py", "Node ws": "node_roundtrip.mjs"}


def run(context):
    with context.daemon("--echo") as daemon:
        for library, script in CLIENTS.items():
            with Groups() as groups:
                groups.start(script, address=daemon.address)
                # Each thing that the client tried is an event of its own: {"said": ..., "ok": ..., "detail": ...}.
                tried = []
                groups.collect("done", 1, 50, others=lambda _, event: tried.append(event))
            for event in tried:
                context.holds(f"{library} {event['said']}", event["ok"], event["detail"])
            context.holds(f"{library} tried all that it should", len(tried) == 16, f"{len(tried)} things")
