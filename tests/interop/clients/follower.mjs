// Runs the client of docs/protocol.md. Task: `source`, its text; `follows`, a list of `{name, url, channels, options}`; and, to
// run it in headless Chromium instead of here, `page` to load and `profile` folder. Reports whatever it calls back.

import { LAUNCH } from './chromium.mjs';
import { listen, report, require, run, task } from './lines.mjs';

const KINDS = { onMessage: 'message', onGap: 'gap', onError: 'error', onEnd: 'end' };

/** Begins to follow; runs here or in the page. `tell(kind, name, ...arguments)` reports. */
function begin({ source, follows, kinds }, WebSocket, tell) {
  const follow = new Function('WebSocket', `${source}\nreturn follow;`)(WebSocket);
  for (const { name, url, channels, options } of follows) {
    const callbacks = Object.fromEntries(Object.entries(kinds).map(([key, kind]) => [key, (...given) => tell(kind, name, ...given)]));
    follow(url, channels, { ...options, ...callbacks });
  }
}

const tell = (kind, name, first, second) => report(kind, { name, first, second });
const work = { ...task, kinds: KINDS };

await run(async () => {
  const ended = new Promise((resolve) => listen(resolve));
  if (!task.page) {
    begin(work, require('ws'), tell);
    await ended;
    return;
  }
  const { chromium } = require('playwright-core');
  const context = await chromium.launchPersistentContext(task.profile, LAUNCH);
  try {
    const page = await context.newPage();
    await page.goto(task.page);
    await page.exposeFunction('tell', tell);
    await page.evaluate(`(${begin})(${JSON.stringify(work)}, WebSocket, tell)`);
    report('ready');
    await ended;
  } finally {
    await context.close();
  }
});
