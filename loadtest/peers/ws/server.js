// Node's `ws`: its documentation's broadcast loop over the clients of a channel. What one turn of the event loop publishes
// leaves in one write for each client: the sockets are corked until the turn ends.
const { WebSocketServer } = require("ws");

const channels = new Map();
const corked = new Set();

function channelNamed(name) {
  let channel = channels.get(name);
  if (!channel) channels.set(name, (channel = { seq: 0, clients: new Set() }));
  return channel;
}

function uncorkAll() {
  for (const socket of corked) socket.uncork();
  corked.clear();
}

function cork(socket) {
  if (corked.has(socket)) return;
  if (corked.size === 0) setImmediate(uncorkAll);
  corked.add(socket);
  socket.cork();
}

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: false,
  backlog: 4096,
  clientTracking: false,
});

server.on("connection", (client) => {
  const subscribed = new Set();
  client.on("error", () => {});
  client.on("close", () => {
    for (const channel of subscribed) channel.clients.delete(client);
  });
  client.on("message", (text) => {
    const request = JSON.parse(text);
    const name = request.channel;
    const channel = channelNamed(name);
    switch (request.type) {
      case "publish": {
        channel.seq += 1;
        // A Buffer, so that it is encoded once and not once for each client.
        const message = Buffer.from(
          JSON.stringify({ type: "message", channel: name, seq: channel.seq, data: request.data }),
        );
        for (const other of channel.clients) {
          cork(other._socket);
          other.send(message, { binary: false });
        }
        break;
      }
      case "subscribe":
        channel.clients.add(client);
        subscribed.add(channel);
        client.send(JSON.stringify({ type: "subscribed", id: request.id, channel: name, seq: channel.seq }));
        break;
      case "unsubscribe":
        channel.clients.delete(client);
        subscribed.delete(channel);
        client.send(JSON.stringify({ type: "unsubscribed", id: request.id, channel: name }));
        break;
    }
  });
});
