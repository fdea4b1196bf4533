// What the Node clients share: the line to the check that started them, and where packages are.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { readFileSync, writeFileSync } from 'node:fs';

export const require = createRequire(process.env.INTEROP_NODE + '/');
export const task = JSON.parse(process.argv[2]);

export function report(event, members = {}) {
  process.stdout.write(JSON.stringify({ event, ...members }) + '\n');
}

export function listen(handle) {
  createInterface({ input: process.stdin }).on('line', (line) => handle(JSON.parse(line)));
}

/** Runs `main`; a failure is reported rather than thrown, and ends the process either way. */
export async function run(main) {
  try {
    await main();
    process.stdout.end(() => process.exit(0));
  } catch (error) {
    report('failed', { why: String(error?.stack ?? error) });
    process.stdout.end(() => process.exit(0));
  }
}

export function check(condition, why) {
  if (!condition) throw new Error(why);
}

/** Reads what `support/corpus.py` saved. */
export function load(path) {
  const raw = readFileSync(path);
  const values = [];
  for (let at = 0; at < raw.length; ) {
    const end = at + 4 + raw.readUInt32BE(at);
    values.push(raw.subarray(at + 4, end));
    at = end;
  }
  return values;
}

/** Writes what `support/corpus.py` loads. */
export function save(path, values) {
  const pieces = [];
  for (const value of values) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(value.length);
    pieces.push(length, value);
  }
  writeFileSync(path, Buffer.concat(pieces));
}
