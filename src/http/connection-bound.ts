import { readFileSync } from 'node:fs';
import type { Server } from 'node:net';
import { publishShed } from '../overload/shed.ts';

/**
 * No more than `most` connections at a time: one more is closed as soon as it is accepted. Nor more than leave the process some
 * files: without any it could neither reach its servers again nor answer those who look after it.
 */
export function boundConnections(server: Server, most: number, mostFiles = readMostFiles()): void {
  server.maxConnections = Math.max(1, Math.min(most, mostFiles - filesOfOurOwn));
  // Of several processes on one port, one that is full would hand connections on to others that may be full too. (The types do not
  // know it yet: https://nodejs.org/api/net.html#serverdropmaxconnection.)
  Object.assign(server, { dropMaxConnection: true });
  server.on('drop', () => publishShed('connections'));
}

/** How many files the process may have open; Node.js has raised the limit as far as it may be raised. */
export function readMostFiles(limits = '/proc/self/limits'): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync(limits, 'utf8')) ?? [];
    return Number(soft ?? Number.POSITIVE_INFINITY);
  } catch {
    // Only Linux tells it there.
    return Number.POSITIVE_INFINITY;
  }
}

/** Servers with their pools, an embedded database, logs, files that are being sent. */
const filesOfOurOwn = 256;
