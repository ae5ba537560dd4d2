import { randomBytes } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { LOOPBACK } from './free-port.ts';

/** Tokens as a backend signs them, and the server of its public keys. */

export const jwtSecret = randomBytes(32).toString('base64url');

type Claims = JWTPayload | Readonly<Record<string, unknown>>;
type Signing = { readonly alg?: string; readonly kid?: string; readonly key?: CryptoKey | Uint8Array };

export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1_000) + seconds;
}

/** A token of the user `sub`, good for a minute, signed with `jwtSecret` unless said otherwise. */
export function sign(
  claims: Claims,
  { alg = 'HS256', kid, key = Buffer.from(jwtSecret) }: Signing = {},
): Promise<string> {
  return new SignJWT({ exp: inSeconds(60), ...claims })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .sign(key);
}

export async function bearer(sub: number | string, claims: Claims = {}): Promise<{ authorization: string }> {
  return { authorization: `Bearer ${await sign({ sub, ...claims })}` };
}

export type KeyPair = { readonly kid: string; readonly privateKey: CryptoKey; readonly publicJwk: JWK };

export async function makeKeyPair(kid: string, alg = 'RS256'): Promise<KeyPair> {
  const { privateKey, publicKey } = await generateKeyPair(alg);
  return { kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export type KeyServer = {
  readonly url: string;
  /** How often it was asked. */
  readonly asked: number;
  /** What it answers from now on. */
  publish(keys: readonly KeyPair[]): void;
  answer(listener: RequestListener): void;
  stop(): Promise<void>;
};

export async function startKeyServer(keys: readonly KeyPair[]): Promise<KeyServer> {
  let asked = 0;
  const answering =
    (published: readonly KeyPair[]): RequestListener =>
    (_request, response) => {
      const body = JSON.stringify({ keys: published.map(({ publicJwk }) => publicJwk) });
      response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(body);
    };
  let listener = answering(keys);
  const server = createServer((request, response) => {
    asked += 1;
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${LOOPBACK}:${port}/keys`,
    get asked() {
      return asked;
    },
    publish: (published) => {
      listener = answering(published);
    },
    answer: (other) => {
      listener = other;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
