/**
 * More load than the service can take: what is answered then, how late, and what is refused. The sustainable load is 0.8 of
 * what is answered in a closed loop of 64 connections; multiples of it come in an open loop over many connections.
 *
 *   npm run bench:overload -- --times 0.5,1,2,5 --seconds 5 --connections 1000 [--log-requests true] [--shed 0,0] [--yield]
 *
 * With `--yield` the database comes behind Redis and the load on the processor that the three share: else dozens of its threads
 * starve these two, and what is timed is how long they wait for their turn.
 */
import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { addRows } from './stage/rows.ts';
import { settled } from './paths/settled.ts';
import { loadCore, type PinnedProcess, pinned } from './stage/pinned-process.ts';
import { beginProfile, startService } from './stage/servers.ts';
import { openStage, root } from './stage/stage.ts';

const run = promisify(execFile);
const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '0.5,1,2,5' },
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '1000' },
    'log-requests': { type: 'string', default: 'false' },
    /** `SHED_DELAY_MS` and `SHED_QUEUE_MS`; with 0 and 0 nothing is refused but what the queue of the pool has no room for. */
    shed: { type: 'string', default: '25,100' },
    yield: { type: 'boolean', default: false },
  },
});

interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

interface Told {
  readonly statuses: Readonly<Record<string, number>>;
  readonly answered: Quantiles;
  readonly refused: Quantiles;
  readonly lost: number;
  readonly cold: number;
  readonly ms: number;
  readonly load: number;
}

async function main(): Promise<void> {
  execFileSync('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' });
  const seconds = Number(values.seconds);
  const [delayMs = '', queueMs = ''] = values.shed.split(',');
  const stage = await openStage(1_000);
  try {
    await addRows(stage, 400_000);
    if (values.yield) stage.yieldDatabase();
    const service = await startService(stage, {
      LOG_REQUESTS: values['log-requests'],
      REDIS_TIMEOUT_MS: '50',
      REDIS_BULK_TIMEOUT_MS: '1000',
      SHED_DELAY_MS: delayMs,
      SHED_QUEUE_MS: queueMs,
    });
    try {
      await settled(service.port);
      let cold = 1_001;
      const measure = async (load: readonly string[]): Promise<Told> => {
        const told = await measureLoad(service, ['--cold-from', String(cold), ...load]);
        cold = told.cold;
        return told;
      };
      await measure(['--seconds', '3']);
      const peak = await measure(['--seconds', String(seconds)]);
      const sustainable = Math.round((0.8 * peak.answered.count * 1_000) / peak.ms);
      console.log(`peak: ${line(peak)}; sustainable: ${sustainable} a second`);
      beginProfile([service]);
      for (const times of values.times.split(',')) {
        const rate = String(Math.round(sustainable * Number(times)));
        const cpu = service.cpuMicros();
        const told = await measure(['--rate', rate, '--seconds', String(seconds), '--connections', values.connections]);
        const share = (service.cpuMicros() - cpu) / told.ms / 10;
        console.log(
          `${times.padStart(4)} x: ${line(told)}; ${share.toFixed(0)} % of a processor, ${service.residentMb().toFixed(0)} MB; load ${JSON.stringify(told.load)}`,
        );
      }
    } finally {
      await service.stop();
    }
  } finally {
    await stage.close();
  }
}

async function measureLoad({ port }: PinnedProcess, load: readonly string[]): Promise<Told> {
  const script = join(root, 'bench/load/mixed-load.ts');
  const [program, args] = pinned(loadCore, [process.execPath, script, '--port', String(port), ...load]);
  const { stdout } = await run(program, args);
  // The script's own output.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return JSON.parse(stdout) as Told;
}

function line({ statuses, answered, refused, lost, ms }: Told): string {
  const perSecond = (count: number): string => ((count * 1_000) / ms).toFixed(0);
  const told = ({ p50, p99, most }: Quantiles): string =>
    `${p50.toFixed(1)} / ${p99.toFixed(1)} / ${most.toFixed(0)} ms`;
  return [
    `answered ${perSecond(answered.count)}/s (p50 / p99 / most ${told(answered)})`,
    `refused ${perSecond(refused.count)}/s (${told(refused)})`,
    `never answered ${lost}`,
    JSON.stringify(statuses),
  ].join('; ');
}

await main();
