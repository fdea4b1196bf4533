// A page in headless Chromium that follows a channel by `EventSource`. Task: `page` to load, the `path` of the stream, `count` of
// messages, `profile` folder. Reports `open` once and `done` with what came.

import { LAUNCH } from './chromium.mjs';
import { report, require, run, task } from './lines.mjs';

const { chromium } = require('playwright-core');

/** Runs in the page. */
function follow({ path, count }) {
  return new Promise((resolve) => {
    const [got, kinds] = [[], []];
    let opened = 0;
    const source = new EventSource(path);
    source.onopen = () => { opened += 1; window.opened(opened); };
    const take = (event) => {
      got.push(event.data);
      kinds.push(event.type);
      if (got.length === count) {
        source.close();
        resolve({ got, kinds, opened, last: event.lastEventId });
      }
    };
    for (const type of ['message', 'text', 'base64', 'gap']) source.addEventListener(type, take);
  });
}

await run(async () => {
  const context = await chromium.launchPersistentContext(task.profile, LAUNCH);
  try {
    const page = await context.newPage();
    await page.exposeFunction('opened', (times) => report('open', { times }));
    await page.goto(task.page);
    report('done', await page.evaluate(follow, { path: task.path, count: task.count }));
  } finally {
    await context.close();
  }
});
