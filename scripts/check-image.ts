import { rm } from 'node:fs/promises';
import { createSchema } from '../test/harness/database-schema.ts';
import { startDatabaseServer } from '../test/harness/database-server.ts';
import { findFreePort, LOOPBACK } from '../test/harness/free-port.ts';
import { startRedis } from '../test/harness/redis-server.ts';
import { runCommand } from '../test/harness/run-command.ts';
import { makeServerFolder } from '../test/harness/server-process.ts';
import { type Buildah, buildahIn, buildImage, makeBase, requirePrograms } from './image/base.ts';
import { type Image, runInContainer, startContainer } from './image/container.ts';
import { examineTree, readConfig } from './image/examination.ts';

/**
 * `npm run check:image`: builds the image of the Dockerfile, with buildah and on a base made here, for no registry of images
 * is needed then; looks at what is in it; runs it as an engine would, on a real Redis and a real database; and builds it once
 * more, to see whether the same comes out. Needs root, a Debian, and some minutes.
 */

const mostBytes = 220 * 1024 * 1024;
const readyWithinMs = 30_000;
const base = 'localhost/energex-cache-base';
const problems: string[] = [];

function expect(isSo: boolean, otherwise: string): void {
  if (!isSo) problems.push(otherwise);
}

function say(what: string, found: string): void {
  console.log(`${what.padEnd(28)} ${found}`);
}

async function main(): Promise<void> {
  await requirePrograms();
  const folder = await makeServerFolder('image');
  try {
    const buildah = buildahIn(folder);
    await timed('base made', () => makeBase(buildah, base));
    const first = await timed('image built', () => open(buildah, 'localhost/energex-cache'));
    inspect(first);
    await runOnServers(first);
    const second = await timed('built once more', () => open(buildah, 'localhost/energex-cache-again'));
    const [once, again] = [await entriesOf(first.tree), new Set(await entriesOf(second.tree))];
    const others = once.filter((entry) => !again.has(entry));
    say('  entries that differ', `${others.length} of ${once.length}`);
    expect(others.length === 0, `building it once more gives others: ${others.slice(0, 5).join(', ')}`);
    await buildah(['umount', '--all']);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  for (const problem of problems) console.error(`PROBLEM: ${problem}`);
  console.log(problems.length === 0 ? 'The image is as it should be.' : `${problems.length} problems.`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work();
  say(what, `${((performance.now() - began) / 1000).toFixed(0)} s`);
  return result;
}

async function open(buildah: Buildah, name: string): Promise<Image> {
  await buildImage(buildah, base, name);
  const config = readConfig(await buildah(['inspect', '--type', 'image', name]));
  const container = (await buildah(['from', '--pull-never', name])).trim();
  return { config, tree: (await buildah(['mount', container])).trim() };
}

function inspect({ tree, config }: Image): void {
  const { files, bytes, parts, complaints } = examineTree(tree);
  say('size', `${mebibytes(bytes)} in ${files} files`);
  for (const [part, size] of [...parts].sort(([, a], [, b]) => b - a)) say(`  ${part}`, mebibytes(size));
  problems.push(...complaints);
  expect(bytes <= mostBytes, `it takes ${mebibytes(bytes)}, more than ${mebibytes(mostBytes)}`);
  say('user', config.user);
  expect(/^[1-9]\d*:[1-9]\d*$/.test(config.user), 'the user is no number other than 0: runAsNonRoot refuses it');
  say('entry point', [...config.entrypoint, ...config.command].join(' '));
  say('healthcheck', config.healthcheck.join(' '));
  expect(config.healthcheck[0] === 'CMD', 'there is no healthcheck without a shell');
  for (const [label, value] of Object.entries(config.labels)) {
    if (label.startsWith('org.opencontainers.')) say(`  ${label.split('.').at(-1)}`, value);
  }
  const labels = ['title', 'version', 'revision', 'licenses'].map((each) => `org.opencontainers.image.${each}`);
  for (const label of labels) expect(label in config.labels, `the label ${label} is not there`);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

async function runOnServers(image: Image): Promise<void> {
  const [database, redis] = await Promise.all([
    startDatabaseServer('mysql').catch(() => startDatabaseServer('mariadb')),
    startRedis(),
  ]);
  try {
    const schema = await createSchema(database, 'image');
    const port = await findFreePort();
    const environment = {
      HOST: LOOPBACK,
      PORT: String(port),
      REDIS_URL: redis.url,
      ALLOW_OPEN_WRITES: 'true',
      REDIS_TIMEOUT_MS: '1000',
      DB_HOST: schema.host,
      DB_PORT: String(schema.port),
      DB_USERNAME: schema.username,
      DB_PASSWORD: schema.password,
      DB_DATABASE: schema.name,
      FRONTEND_URL: 'http://localhost:5173',
    };
    const seed = [...image.config.entrypoint, 'seed', '--posts', '3', '--users', '2'];
    await runInContainer(image, { command: seed, environment });
    for (const args of [[], ['--workers', '2']]) await serve(image, environment, args);
    await schema.drop();
  } finally {
    await Promise.all([database.stop(), redis.stop()]);
  }
}

async function serve(image: Image, environment: Readonly<Record<string, string>>, args: string[]): Promise<void> {
  const url = `http://${LOOPBACK}:${environment['PORT']}`;
  const began = performance.now();
  const command = [...image.config.entrypoint, ...image.config.command, ...args];
  const isReady = async (): Promise<boolean> => (await statusOf(`${url}/readyz`)) === 200;
  const container = await startContainer(image, { command, environment }, { isReady, timeoutMs: readyWithinMs });
  try {
    say(['serve', ...args].join(' '), `ready after ${(performance.now() - began).toFixed(0)} ms`);
    const posts = Object(await (await fetch(`${url}/cache/posts`)).json());
    say('  posts', `${posts.data.length}, from the ${posts.source}`);
    expect(posts.data.length === 3, `three posts were seeded, ${posts.data.length} came`);
    expect((await statusOf(`${url}/docs/`)) === 200, '/docs/ is not there');
    const status = container.status();
    say('  process 1', `${/^Name:\t(.*)$/m.exec(status)?.[1]}, user ${/^Uid:\t(\d+)/m.exec(status)?.[1]}`);
    expect(/^CapEff:\t0+$/m.test(status), 'it has capabilities');
    const [, ...check] = image.config.healthcheck;
    await runInContainer(image, { command: check, environment });
    const { code, afterMs } = await container.terminate();
    say('  after SIGTERM', `ended with ${code} after ${afterMs.toFixed(0)} ms`);
    expect(code === 0, `SIGTERM ended it with ${code}:\n${container.printed()}`);
  } finally {
    await container.kill();
  }
}

async function statusOf(url: string): Promise<number> {
  try {
    const response = await fetch(url, { headers: { connection: 'close' } });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}

/** A line for each entry of a tree: rights, owner, time, size, name, and a digest of the content. */
async function entriesOf(tree: string): Promise<readonly string[]> {
  const script = `cd "$1" && find . -mindepth 1 -printf '%M %U:%G %Ts %P %l\\n' && find . -type f -exec sha256sum {} +`;
  const printed = await runCommand('sh', ['-c', script, 'sh', tree], { timeoutMs: readyWithinMs * 4 });
  return printed.split('\n').toSorted();
}

await main();
