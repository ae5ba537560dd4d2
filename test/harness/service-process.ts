import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProcessGuard } from './process-guard.ts';
import { makeServerFolder } from './server-process.ts';
import type { Reply } from './service.ts';

export type ProcessOptions = {
  /** All that the process gets beside `PATH`: nothing of the environment of the tests. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Verb and flags; `serve` by default. */
  readonly arguments?: readonly string[];
  /** Where the project is; by default this one. */
  readonly project?: string;
  /** Files of the working directory, by name: `.env`, secrets. It is a fresh folder that goes with the process. */
  readonly files?: Readonly<Record<string, string>>;
};

export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly afterMs: number };

/** The program as a process of its own, as its users start it. */
export type ProgramProcess = {
  readonly pid: number;
  /** Lines of standard output so far. */
  readonly lines: readonly string[];
  /** Standard error so far. */
  readonly errors: string;
  /** The first line of standard output that matches, already there or still to come. */
  line(pattern: RegExp, timeoutMs?: number): Promise<string>;
  signal(name: NodeJS.Signals): void;
  /** Resolves when the process is gone and its output is read; `afterMs` counts from the last `signal`, or its start. */
  readonly ended: Promise<Ended>;
  /** SIGKILL if it still runs; then its folder goes. Idempotent. */
  stop(): Promise<void>;
};

export type ServiceProcess = ProgramProcess & {
  readonly url: string;
  readonly port: number;
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  get(path: string, headers?: Record<string, string>): Promise<Reply>;
};

const thisProject = join(import.meta.dirname, '..', '..');
const lineTimeoutMs = 20_000;
const verbTimeoutMs = 25_000;
const listening = /listening on http:\/\/127\.0\.0\.1:(\d+)/;

/** Starts the program without waiting for anything. */
export async function startProgram(options: ProcessOptions = {}): Promise<ProgramProcess> {
  const folder = await makeServerFolder('service');
  const guard = startProcessGuard(folder);
  for (const [name, content] of Object.entries(options.files ?? {})) await writeFile(join(folder, name), content);
  let since = performance.now();
  const entry = join(options.project ?? thisProject, 'src', 'main.ts');
  const child = spawn(process.execPath, [entry, ...(options.arguments ?? ['serve'])], {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  guard.watch(child.pid);
  const output = captureOutput(child);
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => {
      output.end();
      guard.watch(undefined);
      resolve({ code, signal, afterMs: performance.now() - since });
    });
  });
  let stopped: Promise<void> | undefined;
  return {
    pid: child.pid ?? 0,
    lines: output.lines,
    get errors() {
      return output.errors();
    },
    line: output.line,
    signal(name) {
      since = performance.now();
      child.kill(name);
    },
    ended,
    stop() {
      stopped ??= (async () => {
        child.kill('SIGKILL');
        await ended;
        await guard.release();
      })();
      return stopped;
    },
  };
}

/** Starts the service on a free port of the loopback, and resolves when it listens. */
export async function startServiceProcess(options: ProcessOptions = {}): Promise<ServiceProcess> {
  const environment = { HOST: '127.0.0.1', PORT: '0', ...options.environment };
  const program = await startProgram({ ...options, environment });
  try {
    const port = Number(listening.exec(await program.line(listening))?.[1]);
    return {
      ...withRequests(`http://127.0.0.1:${port}`),
      ...program,
      port,
      // A spread copies what a getter says now.
      get errors() {
        return program.errors;
      },
    };
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/** Runs a verb to its end, which must come before a test times out. */
export async function runVerb(
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<Ended & { lines: readonly string[]; errors: string }> {
  const program = await startProgram({ ...options, arguments: args });
  const tooLong = setTimeout(() => program.signal('SIGKILL'), verbTimeoutMs);
  try {
    return { ...(await program.ended), lines: program.lines, errors: program.errors };
  } finally {
    clearTimeout(tooLong);
    await program.stop();
  }
}

type Output = Pick<ProgramProcess, 'lines' | 'line'> & {
  errors(): string;
  /** Nothing more will come. */
  end(): void;
};

type Waiter = { pattern: RegExp; resolve(line: string): void; reject(error: Error): void };

function captureOutput({ stdout, stderr }: ChildProcess): Output {
  const lines: string[] = [];
  const waiters = new Set<Waiter>();
  let rest = '';
  let errors = '';
  let over = false;
  stdout?.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      lines.push(line);
      for (const waiter of waiters) if (waiter.pattern.test(line)) waiter.resolve(line);
    }
  });
  stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const ended = (pattern: RegExp): Error => new Error(`the process ended without a line like ${pattern}:${printed()}`);
  const printed = (): string => `\n${lines.slice(-20).join('\n')}\n${errors}`;
  return {
    lines,
    errors: () => errors,
    end() {
      over = true;
      for (const waiter of waiters) waiter.reject(ended(waiter.pattern));
    },
    line(pattern: RegExp, timeoutMs = lineTimeoutMs): Promise<string> {
      const there = lines.find((line) => pattern.test(line));
      if (there !== undefined) return Promise.resolve(there);
      if (over) return Promise.reject(ended(pattern));
      return new Promise<string>((resolve, reject) => {
        const late = (): void =>
          waiter.reject(new Error(`no line like ${pattern} within ${timeoutMs} ms:${printed()}`));
        const timer = setTimeout(late, timeoutMs);
        const settle = (): void => {
          clearTimeout(timer);
          waiters.delete(waiter);
        };
        const waiter: Waiter = {
          pattern,
          resolve: (line) => (settle(), resolve(line)),
          reject: (error) => (settle(), reject(error)),
        };
        waiters.add(waiter);
      });
    },
  };
}

function withRequests(url: string): Pick<ServiceProcess, 'url' | 'request' | 'get'> {
  const request: ServiceProcess['request'] = async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      // A connection each: one kept open would outlive the test, or be the one that a stopping service closes.
      headers: {
        connection: 'close',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      get json() {
        return JSON.parse(text);
      },
    };
  };
  return { url, request, get: (path, headers) => request('GET', path, undefined, headers) };
}
