import { loadConfig, readEnvironment } from '../config.ts';
import { reachable } from '../doctor/port.ts';
import type { Place } from '../http/listener.ts';
import type { Settings } from '../options.ts';
import { type Flag, type Given, textOf, usageError } from './verb.ts';

/** For verbs that ask a running instance. */
export const urlFlag: Flag = {
  name: 'url',
  value: 'URL',
  description: 'the instance to ask',
  standard: 'the one of `HOST` and `PORT` on this machine',
};

/** The same for what only operators may ask, which may have a port of its own. */
export const internalUrlFlag: Flag = {
  ...urlFlag,
  standard: 'the one of `HOST` and `PORT`, or `INTERNAL_HOST` and `INTERNAL_PORT`, on this machine',
};

/** For verbs that look at Redis, unless an instance is to be asked. */
export const insteadOfRedisFlag: Flag = {
  ...internalUrlFlag,
  description: 'ask this instance what its dashboard asks, and not Redis',
  standard: 'with the embedded default the one on this machine, else none',
};

/** Throws `CatalogueError` `USAGE` for what is no URL. */
export function urlOf(given: Given): string {
  return givenUrl(given) ?? urlAt(({ HOST, PORT }) => ({ host: HOST, port: PORT }));
}

/** Throws as `urlOf` does. */
export function internalUrlOf(given: Given): string {
  const place = ({ HOST, PORT, INTERNAL_HOST, INTERNAL_PORT }: Settings): Place =>
    INTERNAL_PORT === undefined ? { host: HOST, port: PORT } : { host: INTERNAL_HOST ?? HOST, port: INTERNAL_PORT };
  return givenUrl(given) ?? urlAt(place);
}

function urlAt(place: (settings: Settings) => Place): string {
  const { host, port } = place(loadConfig(readEnvironment()).settings);
  return `http://${reachable(host)}:${port}`;
}

function givenUrl(given: Given): string | undefined {
  const text = textOf(given, 'url');
  if (text === undefined) return undefined;
  const isUrl = URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
  if (!isUrl) throw usageError('--url must be a URL such as http://localhost:4000');
  return text.replace(/\/+$/, '');
}
