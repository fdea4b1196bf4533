// What Node `ws` makes of the daemon, one claim after the other. Task: `address`.

import { once } from 'node:events';
import { report, require, run, task } from './lines.mjs';

const { WebSocket } = require('ws');
const [host, port] = task.address;
const URL = `ws://${host}:${port}`;
const LONG = 'prices of märz, 漢字 and \u{1f680}; '.repeat(400);

function claim(said, found, wanted = true) {
  const ok = JSON.stringify(found) === JSON.stringify(wanted);
  report('tried', { said, ok, detail: ok ? '' : `${JSON.stringify(found)}, not ${JSON.stringify(wanted)}` });
}

/** A connection whose messages can be awaited one after the other. */
class Client {
  constructor(path, protocols, options) {
    this.socket = new WebSocket(URL + path, protocols, { maxPayload: 0, ...options });
    this.waiting = [];
    this.arrived = [];
    this.socket.on('message', (data, binary) => {
      const message = binary ? data : data.toString();
      if (this.waiting.length) this.waiting.shift()(message);
      else this.arrived.push(message);
    });
  }

  next() {
    if (this.arrived.length) return Promise.resolve(this.arrived.shift());
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  async ask(members) {
    this.socket.send(JSON.stringify(members));
    return JSON.parse(await this.next());
  }

  async leave() {
    this.socket.close(1000);
    await once(this.socket, 'close');
  }
}

await run(async () => {
  for (const perMessageDeflate of [true, false]) {
    const words = perMessageDeflate ? 'with permessage-deflate' : 'without compression';
    const client = new Client('/', [], { perMessageDeflate: perMessageDeflate && { threshold: 0 } });
    await once(client.socket, 'open');
    claim(`agrees on a connection ${words}`, client.socket.extensions, perMessageDeflate ? 'permessage-deflate' : '');
    const welcome = JSON.parse(await client.next());
    claim(`is welcomed ${words}`, [welcome.type, welcome.protocol], ['welcome', 'json.fanfare.v1']);
    const channel = `node.${perMessageDeflate}`;
    await client.ask({ type: 'subscribe', id: 's', channel });
    const events = [await client.ask({ type: 'publish', id: 1, channel, data: LONG }), JSON.parse(await client.next())];
    claim(`gets back what it published ${words}`, events.find((e) => e.type === 'message')?.data === LONG);
    await client.leave();
  }

  const named = new Client('/ws', ['json.fanfare.v1', 'other']);
  await once(named.socket, 'open');
  claim('is given the sub-protocol it offered', named.socket.protocol, 'json.fanfare.v1');
  named.socket.ping('are you there');
  const [pong] = await once(named.socket, 'pong');
  claim('gets a pong for its ping', pong.toString(), 'are you there');
  await named.leave();

  const curious = new Client('/ws', ['json.fanfare.v1']);
  await curious.next();
  const followed = await curious.ask({ type: 'subscribe', id: 1, pattern: 'node.*' });
  claim('follows a pattern', [followed.type, followed.pattern], ['subscribed', 'node.*']);
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  const came = [
    await curious.ask({ type: 'publish', channel: 'node.bytes', encoding: 'base64', data: bytes.toString('base64') }),
    await curious.ask({ type: 'publish', channel: 'node.text', encoding: 'text', data: `\0${LONG}` }),
  ];
  claim('gets its messages in order', came.map((m) => [m.channel, m.channel_seq]), [['node.bytes', 1], ['node.text', 1]]);
  claim('gets bytes and a text back', [bytes.equals(Buffer.from(came[0].data, 'base64')), came[1].data === `\0${LONG}`], [true, true]);
  await curious.ask({ type: 'unsubscribe', pattern: 'node.*' });
  const answers = [];
  for (const id of [1, 2]) answers.push(await curious.ask({ type: 'publish', id, channel: 'node.once', key: 'k', data: id }));
  claim('publishes once what has the same key', answers.map((a) => [a.seq, a.duplicate ?? false]), [[1, false], [1, true]]);
  await curious.leave();

  const echo = new Client('/echo');
  await once(echo.socket, 'open');
  const binary = Buffer.alloc(1 << 20, 'a\u{1f680}');
  echo.socket.send(LONG.repeat(10));
  claim(`is echoed text of ${LONG.length * 10}`, (await echo.next()) === LONG.repeat(10));
  echo.socket.send(binary);
  claim(`is echoed binary of ${binary.length}`, binary.equals(await echo.next()));
  await echo.leave();

  const refused = new WebSocket(URL, ['mqtt']);
  const [, response] = await once(refused, 'unexpected-response');
  claim('is refused an unknown sub-protocol', response.statusCode, 400);
  response.destroy();

  const rude = new Client('/');
  await once(rude.socket, 'open');
  rude.socket.send(Buffer.from('binary'));
  const [code, reason] = await once(rude.socket, 'close');
  claim('learns why it was closed', [code, reason.length > 0], [1003, true]);
  report('done');
});
