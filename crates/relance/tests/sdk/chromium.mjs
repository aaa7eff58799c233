// Starts a real browser for a test. A page can wait for ever where the library that drives it has no limit of its own
// (`evaluate`, messages of the protocol), and a test that hangs says nothing: past the limit it ends with its last stage.
import { createRequire } from 'node:module';

const LIMIT_MS = 120_000;
let last = 'the browser starts';

/** Says what comes next, for the message of a test that takes too long. */
export const stage = (name) => { last = name; };

/** A browser without a window. `modules` is where `playwright-core` is installed. */
export const launch = async (modules, executablePath) => {
  const { chromium } = createRequire(`${modules}/`)('playwright-core');
  const late = setTimeout(() => {
    console.error(`no end after ${LIMIT_MS / 1000} s; last stage: ${last}`);
    process.exit(1);
  }, LIMIT_MS);
  late.unref();
  return chromium.launch({
    executablePath,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
};
