// Subscribers that use Node `ws`: check order and bytes as messages come.
// Task and orders are those of python_subscribers.py, but for `small_buffers`, which Node cannot set.

import { check, listen, report, require, run, save, task } from './lines.mjs';

const { WebSocket } = require('ws');
const MESSAGE = Buffer.from('{"type":"message","channel":' + JSON.stringify(task.channel) + ',"seq":');
const DATA = Buffer.from(',"data":');
const LAST = Buffer.from(task.last + '}');

const frames = new Map();
const paused = [];
let progress = 0;
let subscribed = 0;

/** The seq of a message, and where its data begins; null for anything else. */
function head(text) {
  if (!text.subarray(0, MESSAGE.length).equals(MESSAGE)) return null;
  const comma = text.indexOf(0x2c, MESSAGE.length);
  check(text.subarray(comma, comma + DATA.length).equals(DATA), `odd message ${text.subarray(0, 99)}`);
  return { seq: Number(text.latin1Slice(MESSAGE.length, comma)), start: comma + DATA.length };
}

function subscriber(index) {
  return new Promise((resolve, reject) => {
    const [host, port] = task.address;
    const socket = new WebSocket(`ws://${host}:${port}/`, ['json.fanfare.v1'], {
      perMessageDeflate: index < task.compressed,
    });
    const stream = { position: 0, epoch: '', arrived: 0, gaps: [], deflate: false };
    const plan = [...task.plans[index]];
    let handle = welcome;

    function welcome(text) {
      check(socket.protocol === 'json.fanfare.v1', `sub-protocol ${socket.protocol}`);
      check(JSON.parse(text).type === 'welcome', `first of all ${text}`);
      handle = reply;
      socket.send(JSON.stringify({ type: 'subscribe', id: `n${index}`, channel: task.channel }));
    }

    function reply(text) {
      const subscription = JSON.parse(text);
      check(subscription.type === 'subscribed' && subscription.id === `n${index}`, `reply ${text}`);
      stream.position = subscription.seq;
      stream.epoch = subscription.epoch;
      stream.deflate = socket.extensions.includes('permessage-deflate');
      handle = take;
      if (++subscribed === task.plans.length) report('ready');
    }

    function take(text) {
      const message = head(text);
      if (!message) return gap(JSON.parse(text));
      check(message.seq > stream.position, `message ${message.seq} after ${stream.position}`);
      const first = frames.get(message.seq);
      if (!first) frames.set(message.seq, text);
      else check(first.equals(text), `subscribers got different bytes for ${message.seq}`);
      stream.position = message.seq;
      stream.arrived++;
      if (text.subarray(message.start).equals(LAST)) {
        handle = () => check(false, 'a message after the last');
        socket.close(1000);
      } else if (plan.length && stream.position >= plan[0][0]) {
        const [, until] = plan.shift();
        if (progress < until) {
          socket.pause();
          paused.push({ socket, until });
        }
      }
    }

    function gap(event) {
      const due = event.type === 'gap' && event.from > stream.position && event.to >= event.from;
      check(due && event.epoch === stream.epoch, `${JSON.stringify(event)} after ${stream.position}`);
      stream.gaps.push(event);
      stream.position = event.to;
    }

    socket.on('message', (text, binary) => {
      try {
        check(!binary, 'a binary message');
        handle(text);
      } catch (error) {
        reject(error);
      }
    });
    socket.on('error', reject);
    socket.on('close', (code, reason) => {
      if (code === 1000) resolve(stream);
      else reject(new Error(`closed with ${code} ${reason} after ${stream.position}`));
    });
  });
}

listen((order) => {
  progress = order.progress;
  for (let i = paused.length - 1; i >= 0; i--) {
    if (paused[i].until <= progress) paused.splice(i, 1)[0].socket.resume();
  }
});

await run(async () => {
  const streams = await Promise.all(task.plans.map((_, index) => subscriber(index)));
  const inOrder = [...frames.keys()].sort((a, b) => a - b);
  save(task.frames, inOrder.map((seq) => frames.get(seq)));
  report('done', { streams });
});
