import { readFileSync } from 'node:fs';
import { getRequest, SocketClient } from './socket-client.ts';

/**
 * Latency at a fixed rate, in an open loop: requests are due by the clock, whether or not earlier ones were answered, and
 * each is timed from when it was due. So a stall counts for all that it held up (no coordinated omission).
 *
 *   node open-loop.ts PORT PATHS_FILE REQUESTS_PER_SECOND SECONDS
 *
 * Prints JSON with quantiles in milliseconds. Requests are due in steps of a millisecond.
 */
const [port = '', pathsFile = '', rate = '', seconds = ''] = process.argv.slice(2);
const requests = readFileSync(pathsFile, 'utf8').trim().split('\n').map(getRequest);
const perMs = Number(rate) / 1000;
const totalMs = Number(seconds) * 1000;
const idle: SocketClient[] = Array.from({ length: 64 }, () => new SocketClient(Number(port)));
const latencies: number[] = [];
const waiting: number[] = [];
let due = 0;
let inFlight = 0;

function send(client: SocketClient, dueAt: number): void {
  inFlight += 1;
  const request = requests[Math.floor(Math.random() * requests.length)] ?? '';
  client.ask(request, () => {
    inFlight -= 1;
    latencies.push(performance.now() - dueAt);
    const next = waiting.shift();
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
  if (elapsed < totalMs || inFlight > 0) setTimeout(tick, 1);
  else finish();
}

function finish(): void {
  // What came while the sockets were being opened does not count.
  const sorted = latencies.slice(Math.floor(latencies.length / 5)).sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  console.log(JSON.stringify({ count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999) }));
  process.exit(0);
}

const began = performance.now();
tick();
