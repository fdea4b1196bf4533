"""What the checks share: the daemon, a raw WebSocket, child processes, bookkeeping."""
