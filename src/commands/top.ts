import { setTimeout } from 'node:timers/promises';
import { linesOf, statsSource } from './instance-stats.ts';
import { internalUrlFlag, internalUrlOf } from './instance-url.ts';
import type { Output } from './output.ts';
import { stopOnSignal } from './stop-signal.ts';
import { numberOf, type Verb } from './verb.ts';

export const top: Verb = {
  name: 'top',
  summary: 'show the figures of `stats` again and again, until q or SIGINT',
  details: [
    'On a terminal the screen is drawn anew; elsewhere, and with `--json`, each look is printed below the one before.',
  ],
  flags: [
    internalUrlFlag,
    { name: 'interval', value: 'S', description: 'seconds between two looks', standard: '1' },
    { name: 'count', value: 'N', description: 'end after so many looks' },
  ],
  run: async (given) => {
    const url = internalUrlOf(given);
    const look = statsSource(url);
    const intervalMs = 1_000 * numberOf(given, 'interval', { standard: 1, least: 1, most: 3_600 });
    const most = numberOf(given, 'count', { least: 1, most: 1_000_000_000 }) ?? Number.POSITIVE_INFINITY;
    const { output } = given;
    const screen = openScreen(output);
    try {
      for (let count = 1; ; count += 1) {
        const found = await look();
        const lines = linesOf(found, url, Math.max(1, output.size.rows - linesOfFigures));
        if (output.isTerminal) screen.draw(lines);
        else output.show(found, count === 1 ? lines : ['', ...lines]);
        if (count >= most || (await screen.isLeftWithin(intervalMs))) return 'done';
      }
    } finally {
      screen.close();
    }
  },
};

const linesOfFigures = 7;
const pollMs = 50;
const leaving = ['q', 'Q', '\u0003'];

interface Screen {
  readonly draw: (lines: readonly string[]) => void;
  /** Whether somebody has asked to end, at the latest after so many milliseconds. */
  readonly isLeftWithin: (ms: number) => Promise<boolean>;
  readonly close: () => void;
}

/** The other page of the terminal, so that what was there before comes back; ECMA-48 and xterm's private mode 1049. */
function openScreen(output: Output): Screen {
  const stop = stopOnSignal();
  let isLeft = false;
  const { stdin } = process;
  const hear = (keys: Buffer): void => {
    // In raw mode Ctrl-C is a key as well.
    if (leaving.some((key) => keys.includes(key))) isLeft = true;
  };
  const isDrawn = output.isTerminal;
  if (isDrawn && stdin.isTTY) stdin.setRawMode(true).on('data', hear);
  if (isDrawn) output.draw('\u001b[?1049h\u001b[?25l');
  return {
    draw: (lines) => {
      const { rows, columns } = output.size;
      const shown = lines.slice(0, rows - 1).map((line) => `${line.slice(0, columns)}\u001b[K`);
      output.draw(`\u001b[H${shown.join('\r\n')}\u001b[J`);
    },
    isLeftWithin: async (ms) => {
      const until = performance.now() + ms;
      const isOver = (): boolean => isLeft || stop.isStopped();
      while (!isOver() && performance.now() < until) await setTimeout(pollMs);
      return isOver();
    },
    close: () => {
      stop.forget();
      if (!isDrawn) return;
      output.draw('\u001b[?25h\u001b[?1049l');
      if (stdin.isTTY) stdin.removeListener('data', hear).setRawMode(false).pause();
    },
  };
}
