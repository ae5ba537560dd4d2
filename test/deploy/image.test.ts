import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { root } from '../../scripts/docs/generated.ts';
import { textOf } from '../docs/documents.ts';
import { findFreePort } from '../harness/free-port.ts';
import { startService } from '../harness/service.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** What can be said of the image without building it; `npm run check:image` builds it. */

const stops = stopAfterEach();
const dockerfile = textOf('Dockerfile');
const manifest = JSON.parse(textOf('package.json'));

test('the version of the image is that of the package, its Node the one of the tests', () => {
  expect(/^ARG VERSION=(.*)$/m.exec(dockerfile)?.[1]).toBe(manifest.version);
  expect(/^ARG NODE_IMAGE=\S*?node:([\d.]+)-/m.exec(dockerfile)?.[1]).toBe(manifest.devDependencies.node);
});

test('whatever the build copies is let through by .dockerignore, and nothing else', () => {
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, sources = '']) =>
    sources.split(' ').map((source) => source.replace(/^(deploy\/image)\/.*/, '$1')),
  );
  const lines = textOf('.dockerignore').split('\n');
  const passed = lines.filter((line) => line.startsWith('!') && line !== '!deploy').map((line) => line.slice(1));
  expect(new Set(copied)).toEqual(new Set(passed));
});

/** Runs the healthcheck as the engine does; resolves with its exit code and what it said. */
async function check(port: number, path: string, host = '0.0.0.0'): Promise<{ code: number; said: string }> {
  const file = join(root, 'deploy/image/healthcheck.js');
  const child = spawn(process.execPath, [file, path], {
    env: { HOST: host, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = await once(child, 'close');
  return { code, said };
}

test('the healthcheck tells a service that answers from one that does not', async () => {
  const service = await startService({});
  stops.push(service.stop);
  expect(await check(service.port, '/livez')).toEqual({ code: 0, said: '' });
  expect(await check(service.port, '/readyz', '127.0.0.1')).toEqual({ code: 0, said: '' });
  expect(await check(service.port, '/livez', '::1')).toMatchObject({ code: 1, said: expect.stringContaining('[::1]') });
  expect(await check(service.port, '/cache/posts/none')).toMatchObject({
    code: 1,
    said: expect.stringContaining('answered 400'),
  });
  expect(await check(await findFreePort(), '/livez')).toMatchObject({
    code: 1,
    said: expect.stringContaining('ECONNREFUSED'),
  });
});
