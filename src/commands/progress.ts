import { SingleBar } from 'cli-progress';
import type { Terminal } from './output.ts';

/** A bar on a terminal; elsewhere a line for every tenth part. */
export async function withProgress<T>(
  what: string,
  total: number,
  work: (report: (done: number) => void) => Promise<T>,
  stream: Terminal = process.stdout,
): Promise<T> {
  if (stream.isTTY !== true) {
    let tenths = 0;
    return await work((done) => {
      const reached = Math.floor((done * 10) / total);
      if (reached > tenths) stream.write(`${what}: ${done} of ${total}\n`);
      tenths = reached;
    });
  }
  const bar = new SingleBar({ format: `${what} {bar} {value} of {total}`, hideCursor: true, stream });
  bar.start(total, 0);
  try {
    return await work((done) => bar.update(done));
  } finally {
    bar.stop();
  }
}
