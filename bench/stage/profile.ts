import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';

/** Preloaded into the service when `BENCH_PROFILE` names a folder: its CPU profile begins with SIGWINCH, when all is warm. */
const folder = process.env['BENCH_PROFILE'] ?? '.';
const session = new Session();
session.connect();

process.once('SIGWINCH', () => {
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: 200 });
  session.post('Profiler.start');
  process.once('exit', () => {
    session.post('Profiler.stop', (_error, { profile }) => {
      writeFileSync(join(folder, `service-${process.pid}.cpuprofile`), JSON.stringify(profile));
    });
  });
});
