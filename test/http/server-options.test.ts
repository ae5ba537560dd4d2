import { createServer } from 'node:http';
import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { tameServer } from '../../src/http/server-options.ts';

test('where Node does not ask whether to upgrade, what nobody would answer is closed', () => {
  const server = createServer();
  tameServer(server);
  const upgrade = (url: string, protocol: string): boolean => {
    const socket = new PassThrough();
    server.emit('upgrade', { url, headers: { upgrade: protocol } }, socket);
    return socket.destroyed;
  };
  expect(upgrade('/cache/posts', 'h2c')).toBe(true);
  expect(upgrade('/cache/posts', 'websocket')).toBe(true);
  expect(upgrade('/socket.io/?EIO=4', 'WebSocket')).toBe(false);
});
