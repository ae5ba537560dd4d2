import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { findChromium } from './binaries.ts';
import { startProcessGuard } from './process-guard.ts';
import { makeServerFolder } from './server-process.ts';

/** A real browser with a profile of its own. */
export type Browser = {
  /** For people: which one it is, and where it comes from. */
  readonly description: string;
  open(url: string): Promise<Page>;
  /** Its folder. */
  readonly profile: string;
  /** Uncaught errors of all pages. */
  readonly complaints: readonly string[];
  /** The network of all pages. */
  setOffline(isOffline: boolean): Promise<void>;
  /** Closes everything and removes the profile. Idempotent. */
  stop(): Promise<void>;
};

/** Nothing but what the pages themselves ask for goes over the network. */
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const startTimeoutMs = 60_000;
const pageTimeoutMs = 15_000;

/** Starts Chromium and says which. What is missing for that is told in the error. */
export async function startBrowser(): Promise<Browser> {
  const binary = await findChromium();
  const folder = await makeServerFolder('chromium');
  const guard = startProcessGuard(folder);
  const context = await launch(binary.command, folder).catch(async (error: unknown) => {
    await guard.release();
    throw new Error(`Chromium ${binary.version} (${binary.origin}) does not start`, { cause: error });
  });
  context.setDefaultTimeout(pageTimeoutMs);
  const complaints: string[] = [];
  let stopped: Promise<void> | undefined;
  const description = `Chromium ${binary.version} (${binary.origin})`;
  process.stdout.write(`Browser of this test: ${description}\n`);
  return {
    description,
    profile: folder,
    complaints,
    async open(url) {
      const page = await context.newPage();
      page.on('pageerror', (error) => complaints.push(String(error)));
      await page.goto(url);
      return page;
    },
    setOffline: (isOffline) => context.setOffline(isOffline),
    stop() {
      stopped ??= context.close().then(
        () => guard.release(),
        () => guard.release(),
      );
      return stopped;
    },
  };
}

function launch(command: string, folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, {
    executablePath: command,
    args: flags,
    headless: true,
    timeout: startTimeoutMs,
    // The tests end it themselves, in their own order.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
}
