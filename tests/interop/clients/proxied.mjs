// Pages of several sites, in headless Chromium, that open a WebSocket through a proxy. Task: `host`, `open` and `locked`: the proxy's
// ports without and with a password; `own` and `foreign`: origins; `profile` folder.

import { LAUNCH } from './chromium.mjs';
import { report, require, run, task } from './lines.mjs';

const { chromium } = require('playwright-core');
// The pages come from nowhere, and Chromium takes that for the internet, from which it lets nobody reach loopback addresses.
const ARGS = [
  ...LAUNCH.args, `--host-resolver-rules=MAP ${task.host} 127.0.0.1`, '--ignore-certificate-errors',
  '--disable-features=LocalNetworkAccessChecks',
];

/** Runs in the page: "open", or the code of the close. */
function dial(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onmessage = ({ data }) => resolve(JSON.parse(data).type);
    socket.onclose = ({ code, reason }) => resolve(`${code}${reason}`);
  });
}

/** The same from a program on Node's `ws`, which has the password. */
function program() {
  const WebSocket = require('ws');
  return new Promise((resolve) => {
    const socket = new WebSocket(`wss://127.0.0.1:${task.locked}/`, {
      auth: 'name:password', servername: task.host, rejectUnauthorized: false,
    });
    socket.onmessage = ({ data }) => resolve(JSON.parse(data).type);
    socket.onerror = ({ message }) => resolve(message);
  });
}

await run(async () => {
  const context = await chromium.launchPersistentContext(task.profile, { ...LAUNCH, args: ARGS, ignoreHTTPSErrors: true });
  try {
    const page = await context.newPage();
    for (const site of [task.own, task.foreign]) {
      await context.route(`${site}/**`, (route) => route.fulfill({ contentType: 'text/html', body: '<title>a site</title>' }));
    }
    const [free, locked] = [task.open, task.locked].map((port) => `wss://${task.host}:${port}/`);
    const from = async (address, url) => {
      await page.goto(address);
      return page.evaluate(dial, url);
    };
    const result = {
      served: await from(`https://${task.host}:${task.open}/`, free),
      own: await from(`${task.own}/`, free),
      foreign: await from(`${task.foreign}/`, free),
      crossOriginLocked: await from(`${task.own}/`, locked),
      program: await program(),
      sameOriginLocked: await from(`https://name:password@${task.host}:${task.locked}/`, locked),
    };
    result.crossOriginAgain = await from(`${task.own}/`, locked);
    report('done', result);
  } finally {
    await context.close();
  }
});
