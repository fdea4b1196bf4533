"""A TCP relay that a check can cut: a network between clients and a daemon, as far as they can tell."""

import socket
import threading


class Relay:
    """Listens on a loopback port and connects each connection to `target`. Ends with the block."""

    def __init__(self, target):
        self.target = target
        self._open = set()
        self._lock = threading.Lock()
        self._is_down = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.url = "ws://%s:%d/" % self.address
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Ends every connection, on both sides."""
        with self._lock:
            ends = list(self._open)
            self._open.clear()
        for end in ends:
            end.shutdown_quietly()

    def go_down(self):
        """Cuts, and ends each new connection at once, until `come_up`."""
        self._is_down = True
        self.cut()

    def come_up(self):
        self._is_down = False

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._is_down:
                    raise OSError("down")
                server = socket.create_connection(self.target, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = Pair(client, server)
            with self._lock:
                self._open.add(pair)
            if self._is_down:
                self.cut()
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=pair.carry, args=(source, sink), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        self.go_down()


class Pair:
    """The two sockets of one relayed connection."""

    def __init__(self, client, server):
        self.sockets = (client, server)

    def carry(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        self.shutdown_quietly()

    def shutdown_quietly(self):
        for end in self.sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
