import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { isSecret, settingNames } from '../../scripts/docs/configuration.ts';
import { root } from '../../scripts/docs/generated.ts';
import { options } from '../../src/options.ts';
import { textOf } from '../docs/documents.ts';
import { createSchema } from '../harness/database-schema.ts';
import { findFreePort } from '../harness/free-port.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** What PM2 and systemd are told: the command, its environment, and how long they wait for its end. */

const stops = stopAfterEach();
const manifest = JSON.parse(textOf('package.json'));
/** SHUTDOWN_TIMEOUT_MS, and what `serve` gives itself to close everything; with workers a second more. */
const longestEndMs = options.SHUTDOWN_TIMEOUT_MS.default + 2_000;

async function serversOfTheTest(): Promise<Record<string, string>> {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const [schema, redis] = await Promise.all([createSchema(server), startRedis({ password: 'of-redis' })]);
  stops.push(schema.drop, () => redis.stop());
  const { REDIS_URL: _, ...environment } = environmentOf(redis, schema);
  const secrets = { REDIS_PASSWORD: 'of-redis', JWT_SECRET: 'of-the-backend'.repeat(3) };
  return { ...environment, ...secrets, REDIS_HOST: redis.host, REDIS_PORT: String(redis.port) };
}

/** Starts what a manager would start, and ends it as the manager does. The build is `src/` without types. */
async function startAndEnd(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  { signal, files = {} }: { readonly signal: NodeJS.Signals; readonly files?: Readonly<Record<string, string>> },
): Promise<void> {
  const service = await startServiceProcess({ arguments: args, environment, files });
  stops.push(service.stop);
  expect(service.port).toBe(Number(environment['PORT']));
  await eventually(async () => (await service.get('/readyz')).status === 200);
  service.signal(signal);
  const { code, afterMs } = await service.ended;
  expect(code).toBe(0);
  expect(afterMs).toBeLessThan(longestEndMs);
}

test('PM2 starts the service, drains it by SIGINT, and waits for its end', async () => {
  const { apps } = createRequire(import.meta.url)(join(root, 'ecosystem.config.cjs'));
  expect(apps).toHaveLength(1);
  const [app] = apps;
  expect(app).toMatchObject({
    cwd: root,
    script: manifest.bin['energex-cache'],
    exec_mode: 'fork',
    increment_var: 'PORT',
  });
  expect(app.env.PORT).toBe(options.PORT.default);
  expect(app.kill_timeout).toBeGreaterThan(longestEndMs);
  const own = { ...app.env, PORT: String(await findFreePort()) };
  await startAndEnd(app.args.split(' '), { ...(await serversOfTheTest()), ...own }, { signal: 'SIGINT' });
});

test('systemd starts the service with secrets from files, and waits for its end', async () => {
  const unit = textOf('deploy/systemd/energex-cache@.service');
  const all = (name: string): string[] =>
    Array.from(unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm')), ([, value]) => value ?? '');
  const [command = ''] = all('ExecStart');
  const [, script, ...args] = command.split(' ');
  expect(script).toBe(`/opt/energex-cache/${manifest.bin['energex-cache']}`);
  expect(Number(all('TimeoutStopSec')[0]) * 1_000).toBeGreaterThan(longestEndMs);

  const pairs = all('Environment')
    .flatMap((line) => line.split(' '))
    .map((pair) => pair.split('='));
  const environment: Record<string, string> = Object.fromEntries(pairs);
  const secrets = Object.keys(environment).filter((name) => name.endsWith('_FILE'));
  const known = new Set<string>(
    settingNames()
      .filter(isSecret)
      .map((name) => `${name}_FILE`),
  );
  expect(secrets.filter((name) => !known.has(name))).toEqual([]);
  const credentials = all('LoadCredential').map((line) => line.split(':')[0]);
  expect(secrets.map((name) => environment[name])).toEqual(credentials.map((name) => `%d/${name}`));

  const given = await serversOfTheTest();
  const files: Record<string, string> = {};
  for (const name of secrets) {
    const setting = name.replace(/_FILE$/, '');
    // The working directory of the process stands for the folder of the credentials.
    files[name] = `${given[setting] ?? ''}\n`;
    environment[name] = name;
    // The database of the tests may have no password, and an empty file is no secret.
    if (given[setting] === '') delete environment[name];
    else delete given[setting];
  }
  environment['PORT'] = String(await findFreePort());
  await startAndEnd(args, { ...given, ...environment }, { signal: 'SIGTERM', files });
});
