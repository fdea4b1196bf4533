// How the checks start Chromium.

// Without the last few flags, Chromium looks for its maker's hosts, which tests have no business with.
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export const LAUNCH = { executablePath: '/usr/bin/chromium', headless: true, args: FLAGS, timeout: 60000 };
