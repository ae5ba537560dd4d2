import { execFile } from 'node:child_process';

export type CommandOptions = {
  readonly timeoutMs: number;
  readonly environment?: Readonly<Record<string, string>>;
};

const OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024;
const MESSAGE_LIMIT = 2_000;

/** Runs a program to its end and returns its standard output; an Error carries the tail of what it printed. */
export function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      {
        timeout: options.timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: OUTPUT_LIMIT_BYTES,
        env: { ...process.env, ...options.environment },
      },
      (error, stdout, stderr) => {
        if (error === null) {
          resolve(stdout);
          return;
        }
        const end = error.killed ? `stopped after ${options.timeoutMs} ms` : `ended with ${error.code ?? error.signal}`;
        const printed = `${stdout}\n${stderr}`.trim().slice(-MESSAGE_LIMIT);
        reject(new Error(`${command} ${args.slice(0, 4).join(' ')}: ${end}\n${printed}`));
      },
    );
  });
}
