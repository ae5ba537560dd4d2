import { parseArgs } from 'node:util';
import { getRequest, SocketClient } from './socket-client.ts';

/**
 * A load of reads that are cached, reads that are not, and writes, in an open loop: requests are due by the clock, whether or not
 * earlier ones were answered, and each is timed from when it was due (no coordinated omission). Without `--rate` in a closed
 * loop instead: each connection asks again as soon as it was answered.
 *
 *   node mixed-load.ts --port N --connections 1000 --rate 5000 --seconds 5 --cold-from 1001
 *
 * Prints JSON: counts by status, quantiles in milliseconds of what was answered and of what was refused, and the first id that
 * was not asked for yet. The posts 1 to 1,000 are hot; of ten requests six read one of them, three read a post
 * that nobody has read, one changes a hot one.
 */
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '' },
    connections: { type: 'string', default: '64' },
    rate: { type: 'string' },
    seconds: { type: 'string', default: '5' },
    'cold-from': { type: 'string', default: '1001' },
  },
});
const hotPosts = 1_000;
const connections = Number(values.connections);
const perMs = Number(values.rate ?? 0) / 1_000;
const totalMs = Number(values.seconds) * 1_000;
const idle: SocketClient[] = [];
const statuses = new Map<number, number>();
const answered: number[] = [];
const refused: number[] = [];
const waiting: number[] = [];
let cold = Number(values['cold-from']);
let due = 0;
let inFlight = 0;
let isOver = false;

function nextRequest(): string {
  const chance = Math.random();
  const hot = `/cache/posts/${1 + Math.floor(Math.random() * hotPosts)}`;
  if (chance < 0.6) return getRequest(hot);
  if (chance < 0.9) return getRequest(`/cache/posts/${(cold += 1) - 1}`);
  const body = JSON.stringify({ title: `overload ${chance}` });
  return `PUT ${hot} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function send(client: SocketClient, dueAt: number): void {
  inFlight += 1;
  client.ask(nextRequest(), (status) => {
    inFlight -= 1;
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    (status < 400 ? answered : refused).push(performance.now() - dueAt);
    const next = values.rate === undefined ? (isOver ? undefined : performance.now()) : waiting.shift();
    if (next === undefined) idle.push(client);
    else send(client, next);
  });
}

function tick(): void {
  const elapsed = performance.now() - began;
  for (const until = Math.min(Math.floor(elapsed), totalMs) * perMs; due < until; due += 1) {
    const dueAt = began + Math.ceil(due / perMs);
    const client = idle.pop();
    if (client === undefined) waiting.push(dueAt);
    else send(client, dueAt);
  }
  isOver = elapsed >= totalMs;
  // What is due and was never sent when time is up counts as lost, so that a service that falls behind is seen.
  if (isOver && (inFlight === 0 || elapsed > totalMs + 10_000)) finish();
  else setTimeout(tick, 1);
}

function quantiles(latencies: readonly number[]): Record<string, number> {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), most: at(1) };
}

function finish(): void {
  const told = { statuses: Object.fromEntries(statuses), answered: quantiles(answered), refused: quantiles(refused) };
  console.log(
    JSON.stringify({
      ...told,
      lost: inFlight + waiting.length,
      cold,
      ms: performance.now() - began,
      load: process.cpuUsage(),
    }),
  );
  process.exit(0);
}

// One after the other: more than fit into the backlog at once would wait for a second.
while (idle.length < connections) idle.push(await new SocketClient(Number(values.port)).connected());
const began = performance.now();
if (values.rate === undefined) for (const client of idle.splice(0)) send(client, began);
tick();
