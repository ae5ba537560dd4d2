import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import { examine } from '../../src/doctor/doctor.ts';
import { examinePort, examinePorts, reachable } from '../../src/doctor/port.ts';
import { createSchema } from '../harness/database-schema.ts';
import { findFreePort } from '../harness/free-port.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf, startService } from '../harness/service.ts';
import { runVerb } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** The verb `doctor` as a process, and what it says of the port. */

const stops = stopAfterEach();

const strong = '9f86d081884c7d659a2feaa0c55ad015';

type Document = { fail: number; warn: number; findings: { id: string; severity: string; finding: string }[] };

async function runDoctor(environment: Record<string, string>): Promise<{ code: number | null; document: Document }> {
  const { code, lines, errors } = await runVerb(['doctor', '--json'], { environment });
  expect(errors).toBe('');
  return { code, document: JSON.parse(lines.join('\n')) };
}

describe('the verb', () => {
  test('on real servers: nothing fails, then a wrong password does, and the rest is still looked at', async () => {
    const [server] = sharedDatabases();
    if (server === undefined) throw new Error('no database');
    const [redis, schema] = await Promise.all([
      startRedis({ password: 'right', config: ['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru'] }),
      createSchema(server),
    ]);
    stops.push(redis.stop, schema.drop);
    const environment = {
      ...environmentOf(redis, schema),
      PORT: String(await findFreePort()),
      HOST: '127.0.0.1',
      REALTIME_API_SECRET: strong,
    };
    expect((await runVerb(['migrate'], { environment })).code).toBe(0);
    const fine = await runDoctor(environment);
    const troubles = fine.document.findings.filter(({ severity }) => severity !== 'ok');
    // The tests use the database as root.
    expect([fine.code, troubles.map(({ id }) => id)]).toEqual([0, ['settings.writes', 'settings.database-user']]);

    const wrong = await runDoctor({ ...environment, REDIS_URL: redis.url.replace('right', 'marked') });
    expect([wrong.code, wrong.document.fail]).toEqual([3, 1]);
    expect(wrong.document.findings.find(({ severity }) => severity === 'fail')?.finding).toContain('WRONGPASS');
    expect(wrong.document.findings.map(({ id }) => id)).toContain('mysql.table.posts');
    expect(JSON.stringify(wrong.document)).not.toContain('marked');
  });

  test('of the embedded default, in lines for people', async () => {
    const { code, lines } = await runVerb(['doctor'], { environment: { PORT: '0' } });
    expect(code).toBe(0);
    expect(lines).toContain('ok   port: PORT is 0: a free one is taken');
    expect(lines.at(-1)).toMatch(/^\d+ in order, 3 to look at, 0 that must be mended$/);
  });

  test('settings that are wrong are all that is looked at', async () => {
    const { code, document } = await runDoctor({ DB_HOST: 'db' });
    expect(code).toBe(3);
    expect(document.findings.map(({ id }) => id)).not.toContain('port');
  });

  test('a .env that others may read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'energex-cache-test-data-'));
    stops.push(() => rm(folder, { recursive: true }));
    const file = join(folder, '.env');
    await writeFile(file, 'PORT=0\n');
    const run = async (mode: number) => {
      await chmod(file, mode);
      const before = process.cwd();
      process.chdir(folder);
      try {
        return (await examine({ PORT: '0' }, () => Date.now())).find(({ id }) => id === 'settings.env-file');
      } finally {
        process.chdir(before);
      }
    };
    expect(await run(0o644)).toMatchObject({ severity: 'warn', remedy: 'chmod 600 .env' });
    expect(await run(0o600)).toMatchObject({ severity: 'ok' });
  });
});

describe('the port', () => {
  const settingsFor = (environment: Record<string, string>) => loadConfig(environment).settings;

  test('is free', async () => {
    const port = await findFreePort();
    expect(await examinePort(settingsFor({ HOST: '127.0.0.1', PORT: String(port) }))).toMatchObject({ severity: 'ok' });
  });

  test('is looked at where the second one is, too', async () => {
    const service = await startService({ INTERNAL_PORT: '0' });
    stops.push(service.stop);
    const { port } = new URL(service.internalUrl ?? '');
    const settings = { HOST: '127.0.0.1', PORT: String(service.port), INTERNAL_PORT: port };
    expect(await examinePorts(settingsFor(settings))).toMatchObject([
      { id: 'port', severity: 'ok', finding: expect.stringContaining('an instance') },
      { id: 'internal-port', severity: 'ok', finding: expect.stringContaining(`:${port}, and is well`) },
    ]);
    expect(await examinePorts(settingsFor({ PORT: '0' }))).toHaveLength(1);
  });

  test('has an instance of the service', async () => {
    const service = await startService({});
    stops.push(service.stop);
    const finding = await examinePort(settingsFor({ HOST: '127.0.0.1', PORT: String(service.port) }));
    expect(finding).toMatchObject({ severity: 'ok', finding: expect.stringContaining('an instance of the service') });
  });

  test.each([
    ['an instance that is not well', 503, { services: { redis: 'unhealthy' } }, 'warn', /is not well: .*unhealthy/],
    ['another program', 200, { hello: 'world' }, 'fail', /EADDRINUSE/],
  ])('has %s', async (_, status, body, severity, expected) => {
    const other = createServer((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    stops.push(async () => {
      other.close();
      await once(other, 'close');
    });
    // A server that listens on a TCP port has an address with one.
    const { port } = other.address() as AddressInfo;
    const finding = await examinePort(settingsFor({ HOST: '127.0.0.1', PORT: String(port) }));
    expect(finding).toMatchObject({ id: 'port', severity, finding: expect.stringMatching(expected) });
  });

  test('is at an address that is not ours', async () => {
    const finding = await examinePort(settingsFor({ HOST: '198.51.100.1', PORT: '4000' }));
    expect(finding).toMatchObject({ severity: 'fail', remedy: expect.stringMatching(/^HOST=/) });
  });

  test.each([
    ['0.0.0.0', '127.0.0.1'],
    ['::', '[::1]'],
    ['::1', '[::1]'],
    ['cache.example.com', 'cache.example.com'],
  ])('who listens on %s is reached at %s', (host, expected) => {
    expect(reachable(host)).toBe(expected);
  });
});
