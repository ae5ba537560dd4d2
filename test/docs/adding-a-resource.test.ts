import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { root } from '../../scripts/docs/generated.ts';
import { createSchema } from '../harness/database-schema.ts';
import { dial, nameOf } from '../harness/databases.ts';
import { connectClient } from '../harness/live-client.ts';
import { startRedis } from '../harness/redis-server.ts';
import { runCommand } from '../harness/run-command.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';
import { bearer, jwtSecret } from '../harness/tokens.ts';
import { answers, examplesOf, requireCurl, runExample } from './console-examples.ts';
import { fencedBlocks, textOf } from './documents.ts';

/** Follows `docs/adding-a-resource.md` to the letter, in a copy of the project. */

const text = textOf('docs/adding-a-resource.md');
/** A block under its path: `path`, a colon, and the block. */
const files = [...text.matchAll(/^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$/gms)].map(([, path = '', content = '']) => ({
  path,
  content,
}));
const examples = examplesOf(text);
const copied = ['src', 'lua', 'migrations', 'scripts', 'docs', 'deploy', 'client/src', 'bench/scaling', 'test/harness'];
const singleFiles = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'client/package.json'];
const stops = stopAfterEach();
let project: string;

beforeAll(async () => {
  await requireCurl();
  project = await mkdtemp(join(tmpdir(), 'energex-adding-'));
  for (const path of [...copied, ...singleFiles]) await cp(join(root, path), join(project, path), { recursive: true });
  await symlink(join(root, 'node_modules'), join(project, 'node_modules'));
  for (const { path, content } of files) {
    await mkdir(dirname(join(project, path)), { recursive: true });
    await writeFile(join(project, path), content);
  }
}, 300_000);
afterAll(() => rm(project, { recursive: true }));

test('the page has files and commands', () => {
  expect(files.map(({ path }) => path)).toEqual([
    'migrations/mysql/0006-comments.sql',
    'migrations/sqlite/0006-comments.sql',
    'src/resources/comments/comments.ts',
    'src/resources/registry.ts',
  ]);
  expect(examples.length).toBeGreaterThan(8);
});

test('what it adds compiles, and the documents take it in', async () => {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const options = { timeoutMs: 60_000 };
  await runCommand(process.execPath, [compiler, '-p', join(project, 'tsconfig.build.json'), '--noEmit'], options);
  await runCommand(process.execPath, [join(project, 'scripts', 'docs.ts')], options);
  expect(await readFile(join(project, 'README.md'), 'utf8')).toContain('| `/cache/comments` | `comments:all` (5 min)');
  expect(await readFile(join(project, 'client', 'src', 'generated.ts'), 'utf8')).toContain('comment_updated');
}, 120_000);

test('the commands answer as it says, on the embedded default', async () => {
  const service = await startServiceProcess({ project });
  stops.push(service.stop);
  const at = { host: `127.0.0.1:${service.port}`, folder: tmpdir() };
  for (const { command, expected } of examples) {
    const printed = await runExample(command, at);
    if (!answers(expected, printed)) expect(`$ ${command}\n${printed}`).toBe(`$ ${command}\n${expected}`);
  }
}, 60_000);

test('with tokens, comments are for those who wrote them', async () => {
  const service = await startServiceProcess({ project, environment: { JWT_SECRET: jwtSecret } });
  stops.push(service.stop);
  const ask = async (user: number, method: string, path: string, body?: object) =>
    service.request(method, `/cache/comments${path}`, body, await bearer(user));
  const said = await ask(2, 'POST', '', { post_id: 1, user_id: 1, body: 'Mine' });
  expect([said.status, said.json.data.user_id]).toEqual([201, 2]);
  expect((await service.request('PUT', '/cache/comments/1', { body: 'x' })).status).toBe(401);
  const others = await ask(1, 'PUT', '/1', { body: 'Yours' });
  expect([others.status, others.json.message]).toEqual([403, 'Only the owner may change this comment']);
  expect((await ask(1, 'DELETE', '/1')).status).toBe(403);
  expect((await ask(2, 'PUT', '/1', { body: 'Still mine' })).status).toBe(200);
  expect((await ask(2, 'DELETE', '/1')).status).toBe(200);
}, 60_000);

test.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'what another program commits is heard and read (%s)',
  async (_, server) => {
    const [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
    stops.push(redis.stop, schema.drop);
    const environment = { ...environmentOf(redis, schema), CHANGE_FEED: 'binlog' };
    const service = await startServiceProcess({ project, environment });
    stops.push(service.stop);
    await service.line(/Change feed: following/);
    const client = await connectClient(service.url);
    stops.push(async () => client.close());
    const program = await dial(schema);
    stops.push(async () => program.destroy());
    await program.query("INSERT INTO users (id, name, email, password) VALUES (1, 'Ada', 'a@x', 'p')");
    await program.query("INSERT INTO posts (id, title, content, user_id) VALUES (1, 't', 'c', 1)");
    await eventually(async () => (await service.get('/cache/comments')).json.source === 'cache');

    const [, , insert = ''] = fencedBlocks(text, 'sql');
    await program.query(insert);
    await client.hears(2);
    expect(client.heard.map(([event]) => event)).toEqual(['new_post', 'new_comment']);
    const shown = { id: 1, post_id: 1, body: 'From elsewhere', author: { id: 1, name: 'Ada' } };
    expect((await service.get('/cache/comments')).json.data).toMatchObject([shown]);

    // The comments show the name of a user, and go with their post.
    await eventually(async () => (await service.get('/cache/comments/1')).json.source === 'cache');
    await program.query("UPDATE users SET name = 'Augusta' WHERE id = 1");
    await eventually(async () => (await service.get('/cache/comments/1')).json.data.author.name === 'Augusta');
    await program.query('DELETE FROM posts WHERE id = 1');
    await eventually(async () => (await service.get('/cache/comments/1')).status === 404);
    expect((await service.get('/metrics')).text).toMatch(
      /^energex_cache_requests_total\{resource="comments",tier="\w+",result="hit"\} [1-9]/m,
    );
  },
  90_000,
);
