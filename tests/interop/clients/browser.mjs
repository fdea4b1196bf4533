// Drives a page in headless Chromium. Task: `url` of the WebSocket, `page` to load, `profile` folder.

import { LAUNCH } from './chromium.mjs';
import { report, require, run, task } from './lines.mjs';

const { chromium } = require('playwright-core');

/** Runs inside the page: one life of a subscriber on a channel of its own. */
async function talk({ url, offered, channel }) {
  const published = ['0.10', '1E+2', '"\\u0041 \u{1f680} märz"', '{"a":[1,{"b":null}]}', JSON.stringify('x'.repeat(20000))];

  function open() {
    const socket = offered ? new WebSocket(url, offered) : new WebSocket(url);
    const arrived = [];
    const waiting = [];
    socket.onmessage = ({ data }) => (waiting.length ? waiting.shift()(data) : arrived.push(data));
    const next = () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise((r) => waiting.push(r)));
    const close = () => new Promise((resolve) => {
      socket.onclose = ({ code, wasClean }) => resolve({ code, clean: wasClean });
      socket.close(1000);
    });
    return { socket, next, close };
  }

  const dataOf = (text) => text.slice(text.indexOf('"data":') + 7, -1);
  const first = open();
  const welcome = JSON.parse(await first.next());
  first.socket.send(JSON.stringify({ type: 'subscribe', id: 1, channel }));
  const subscribed = JSON.parse(await first.next());
  for (const data of published) first.socket.send(`{"type":"publish","channel":"${channel}","data":${data}}`);
  const received = [];
  const seqs = [];
  while (received.length < published.length) {
    const text = await first.next();
    received.push(dataOf(text));
    seqs.push(JSON.parse(text).seq);
  }
  const { protocol, extensions } = first.socket;
  const closed = await first.close();

  const again = open();
  await again.next();
  again.socket.send(JSON.stringify({ type: 'subscribe', id: 2, channel, since: { epoch: subscribed.epoch, seq: seqs[1] } }));
  const recovered = JSON.parse(await again.next());
  const resumed = [];
  while (recovered.recovered && resumed.length < published.length - 2) resumed.push(dataOf(await again.next()));
  await again.close();
  return { offered, protocol, extensions, welcome: welcome.protocol, published, received, resumed, closed };
}

await run(async () => {
  const context = await chromium.launchPersistentContext(task.profile, LAUNCH);
  try {
    const page = await context.newPage();
    await page.goto(task.page);
    const title = await page.title();
    const results = [];
    for (const offered of ['', 'json.fanfare.v1']) {
      results.push(await page.evaluate(talk, { url: task.url, offered, channel: `browser.${results.length}` }));
    }
    report('done', { results, title });
  } finally {
    await context.close();
  }
});
