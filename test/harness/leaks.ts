import { channel } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export type LeakCheck = {
  /** Rejects with a readable list if something that was opened since is still open after a short grace. */
  check(): Promise<void>;
};

const WATCHED = new Map([
  ['TCPSocketWrap', 'TCP socket'],
  ['TCPServerWrap', 'TCP server'],
  ['Timeout', 'timer'],
]);

const TURN_MS = 5;
const STACK_LINES = 4;

/**
 * Notes which sockets, servers and timers keep the event loop alive now; `check` asserts that no more do later.
 * Call it in `beforeAll` and check in `afterAll`, when the code under test and the servers' clients are closed: Jest has
 * one timer of its own running in either, so that the comparison is fair.
 *
 * Node counts what is open; where a socket was opened is known from its diagnostics channels, and told for a hint.
 */
export function trackLeaks(graceMs = 1_000): LeakCheck {
  const before = countOpen();
  const opened = new Map<Socket, string>();
  const note = (message: unknown): void => {
    const socket = socketOf(message);
    if (socket === undefined) return;
    opened.set(socket, callers());
    socket.once('close', () => opened.delete(socket));
  };
  const channels = ['net.client.socket', 'net.server.socket'].map((name) => channel(name));
  for (const each of channels) each.subscribe(note);

  return {
    async check() {
      for (const each of channels) each.unsubscribe(note);
      // A closed socket leaves with a later turn of the event loop, and only once its peer has had its say.
      const deadline = performance.now() + graceMs;
      let excess = excessOver(before);
      while (excess.length > 0 && performance.now() < deadline) {
        await delay(TURN_MS);
        excess = excessOver(before);
      }
      const hints = [...opened].map(([socket, where]) => `  ${describe(socket)}, opened\n${where}`);
      opened.clear();
      if (excess.length === 0) return;
      throw new Error([`left open: ${excess.join(', ')}`, ...hints].join('\n'));
    },
  };
}

function countOpen(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1);
  return counts;
}

function excessOver(before: ReadonlyMap<string, number>): string[] {
  const now = countOpen();
  const excess: string[] = [];
  for (const [type, name] of WATCHED) {
    const more = (now.get(type) ?? 0) - (before.get(type) ?? 0);
    if (more > 0) excess.push(`${more} ${name}${more === 1 ? '' : 's'}`);
  }
  return excess;
}

/** Jest runs tests in a realm of their own, where `instanceof Socket` may fail: the shape must do. */
function socketOf(message: unknown): Socket | undefined {
  if (typeof message !== 'object' || message === null || !('socket' in message)) return undefined;
  return isSocket(message.socket) ? message.socket : undefined;
}

function isSocket(value: unknown): value is Socket {
  return typeof value === 'object' && value !== null && 'resetAndDestroy' in value && 'once' in value;
}

function describe(socket: Socket): string {
  return `socket ${socket.localAddress ?? '?'}:${socket.localPort ?? '?'} - ${socket.remoteAddress ?? '?'}:${socket.remotePort ?? '?'}`;
}

/** The innermost lines of the stack that are neither Node's nor this file's. */
function callers(): string {
  const lines = (new Error().stack ?? '').split('\n').slice(1);
  const foreign = lines.filter((line) => !line.includes('node:') && !line.includes('harness/leaks.ts'));
  const shown = foreign.slice(0, STACK_LINES).map((line) => `    ${line.trim().replaceAll(process.cwd(), '.')}`);
  return shown.length === 0 ? '    (by a peer that connected to us)' : shown.join('\n');
}
