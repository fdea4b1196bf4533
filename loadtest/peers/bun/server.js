// Bun's own pub/sub: a topic for each channel, and the server publishes to it.
const seqs = new Map();
const [port, cert, key] = process.argv.slice(2);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  tls: cert && { cert: Bun.file(cert), key: Bun.file(key) },
  fetch(request, server) {
    if (server.upgrade(request)) return;
    return new Response("a WebSocket lives here", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    backpressureLimit: 1024 * 1024 * 1024,
    maxPayloadLength: 16 * 1024 * 1024,
    message(socket, text) {
      const request = JSON.parse(text);
      const channel = request.channel;
      switch (request.type) {
        case "publish": {
          const seq = (seqs.get(channel) ?? 0) + 1;
          seqs.set(channel, seq);
          server.publish(channel, JSON.stringify({ type: "message", channel, seq, data: request.data }));
          break;
        }
        case "subscribe":
          socket.subscribe(channel);
          socket.send(JSON.stringify({ type: "subscribed", id: request.id, channel, seq: seqs.get(channel) ?? 0 }));
          break;
        case "unsubscribe":
          socket.unsubscribe(channel);
          socket.send(JSON.stringify({ type: "unsubscribed", id: request.id, channel }));
          break;
      }
    },
  },
});
