import { hash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from '../../src/redis/link.ts';

const folder = join(import.meta.dirname, '..', '..', 'lua');
const prelude = readFileSync(join(folder, 'prelude.lua'), 'utf8');

/** The steps by the digest of their script. */
const steps = new Map(
  globSync('*.lua', { cwd: folder }).map((file) => {
    const text = `${prelude}\n${readFileSync(join(folder, file), 'utf8')}`;
    return [hash('sha1', text), basename(file, '.lua')];
  }),
);

/** A command for the log: without what is the same each time, and without chance of another kind than the seed's. */
export function describeCommand([name, ...args]: Command): string {
  const texts = args.map((arg) => (Buffer.isBuffer(arg) ? arg.toString() : String(arg)));
  if (name !== 'EVALSHA' && name !== 'EVAL') return [name, ...texts].join(' ');
  const [script = '', count = '', ...rest] = texts;
  const step = steps.get(name === 'EVAL' ? hash('sha1', script) : script) ?? 'unknown script';
  const value = rest.slice(1, Number(count)).slice(0, 1);
  // Behind the run, the epoch, and the time that a lost table stays shut.
  const own = rest.slice(Number(count) + 3).map((text) => text.replace(/^energex:wake:.*/, 'channel'));
  return [name === 'EVAL' ? `${step} (with its text)` : step, ...value, ...own].join(' ');
}
