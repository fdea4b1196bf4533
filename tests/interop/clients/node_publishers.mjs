// Publishers that use Node `ws` and pace themselves by their acknowledgements.
// Task and reports are those of python_publishers.py.

import { check, load, report, require, run, task } from './lines.mjs';

const { WebSocket } = require('ws');
const REPORT_EVERY = 50;
const corpus = load(task.corpus);
const before = Buffer.from(`{"type":"publish","channel":${JSON.stringify(task.channel)},"data":`);

function publisher([first, step]) {
  return new Promise((resolve, reject) => {
    const [host, port] = task.address;
    const socket = new WebSocket(`ws://${host}:${port}/ws`);
    let index = first;
    let waiting = 0;
    let pairs = [];
    let welcomed = false;

    function send() {
      for (; index < corpus.length && waiting < task.window; index += step, waiting++) {
        socket.send(Buffer.concat([before, corpus[index], Buffer.from(`,"id":${index}}`)]), { binary: false });
      }
    }

    function take(event) {
      if (!welcomed) {
        check(event.type === 'welcome', `first of all ${event.type}`);
        welcomed = true;
        return send();
      }
      check(event.type === 'published' && event.channel === task.channel, JSON.stringify(event));
      pairs.push([event.id, event.seq]);
      waiting--;
      send();
      if (pairs.length === REPORT_EVERY || waiting === 0) {
        report('acked', { pairs });
        pairs = [];
      }
      if (waiting === 0) socket.close(1000);
    }

    socket.on('message', (text) => {
      try {
        take(JSON.parse(text));
      } catch (error) {
        reject(error);
      }
    });
    socket.on('error', reject);
    socket.on('close', (code) => (code === 1000 ? resolve() : reject(new Error(`closed with ${code}`))));
  });
}

await run(async () => {
  await Promise.all(task.shares.map(publisher));
  report('done');
});
