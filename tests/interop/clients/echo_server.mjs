// An echo server on Node `ws`: in one frame, or at /fragmented in several. Prints its port.
import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(process.env.INTEROP_NODE + '/')('ws');
const LIMIT = 1 << 25;

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: LIMIT, perMessageDeflate: true });
server.on('listening', () => console.log(server.address().port));
server.on('connection', (socket, request) => {
  socket.on('message', (data, binary) => {
    const third = Math.floor(data.length / 3);
    if (request.url !== '/fragmented' || third === 0) {
      socket.send(data, { binary });
      return;
    }
    socket.send(data.subarray(0, third), { binary, fin: false });
    socket.send(data.subarray(third, 2 * third), { binary, fin: false });
    socket.send(data.subarray(2 * third), { binary, fin: true });
  });
});
