import { loadConfig, readEnvironment } from '../config.ts';
import { reachable } from '../doctor/port.ts';
import { failure, type Flag, type Given, textOf, usageError } from './verb.ts';

/** For verbs that ask a running instance. */
export const urlFlag: Flag = {
  name: 'url',
  value: 'URL',
  description: 'the instance to ask',
  standard: 'the one of `HOST` and `PORT` on this machine',
};

/** Throws `CatalogueError` `USAGE` for what is no URL. */
export function urlOf(given: Given): string {
  const text = textOf(given, 'url');
  if (text === undefined) {
    const { HOST, PORT } = loadConfig(readEnvironment()).settings;
    return `http://${reachable(HOST)}:${PORT}`;
  }
  const isUrl = URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
  if (!isUrl) throw usageError('--url must be a URL such as http://localhost:4000');
  return text.replace(/\/+$/, '');
}

/** What the instance knows its callers by. */
export function secretInSettings(): string {
  const { REALTIME_API_SECRET: secret } = loadConfig(readEnvironment()).settings;
  if (secret !== undefined) return secret;
  throw failure(
    'REALTIME_API_SECRET is not set: it must be the one of the instance, which tells its figures to nobody else',
  );
}
