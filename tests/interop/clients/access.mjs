// Pages of several origins, in headless Chromium, that open WebSockets over TLS with a cookie. Task: `host`, `port` of the daemon; `tries`:
// a list of `name`, `origin` of the page, `cookie` or null, and `channel` to subscribe to; `profile` folder.

import { LAUNCH } from './chromium.mjs';
import { report, require, run, task } from './lines.mjs';

const { chromium } = require('playwright-core');
// The pages come from nowhere, and Chromium takes that for the internet, from which it lets nobody reach loopback addresses.
const ARGS = [
  ...LAUNCH.args, `--host-resolver-rules=MAP ${task.host} 127.0.0.1`, '--ignore-certificate-errors',
  '--disable-features=LocalNetworkAccessChecks',
];

/** Runs in the page: how the answer to a subscription begins, or the code of the close. */
function subscribe({ url, channel }) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send(JSON.stringify({ type: 'subscribe', channel }));
    socket.onmessage = ({ data }) => {
      const { type, code } = JSON.parse(data);
      if (type !== 'welcome') resolve(code ?? type);
    };
    socket.onclose = ({ code }) => resolve(code);
  });
}

await run(async () => {
  const context = await chromium.launchPersistentContext(task.profile, { ...LAUNCH, args: ARGS, ignoreHTTPSErrors: true });
  try {
    const page = await context.newPage();
    for (const origin of new Set(task.tries.map((each) => each.origin))) {
      await context.route(`${origin}/**`, (route) => route.fulfill({ contentType: 'text/html', body: '<title>a site</title>' }));
    }
    const results = {};
    for (const { name, origin, cookie, channel } of task.tries) {
      await context.clearCookies();
      if (cookie) {
        await context.addCookies([{ name: 'token', value: cookie, domain: task.host, path: '/', secure: true, sameSite: 'None' }]);
      }
      await page.goto(`${origin}/`);
      results[name] = await page.evaluate(subscribe, { url: `wss://${task.host}:${task.port}/`, channel });
    }
    report('done', { results });
  } finally {
    await context.close();
  }
});
