import { describe, expect, test } from '@jest/globals';
import { exportSPKI, importJWK, UnsecuredJWT } from 'jose';
import { loadConfig } from '../../src/config.ts';
import { CatalogueError } from '../../src/errors.ts';
import { openTokens, type Tokens } from '../../src/http/tokens.ts';
import { stopAfterEach } from '../harness/stops.ts';
import { inSeconds, jwtSecret, type KeyPair, makeKeyPair, sign, startKeyServer } from '../harness/tokens.ts';

const stops = stopAfterEach();

function open(environment: Record<string, string>, bounds?: Parameters<typeof openTokens>[1]): Tokens {
  const tokens = openTokens(loadConfig(environment).settings, bounds);
  if (tokens === undefined) throw new Error('writes are open');
  return tokens;
}

/** The code and the message of what is said of an `Authorization` header. */
async function refusal(tokens: Tokens, authorization: string | undefined): Promise<string> {
  try {
    return `user ${await tokens.userOf(authorization)}`;
  } catch (error) {
    if (!(error instanceof CatalogueError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

test('without a secret and without keys there are none', () => {
  expect(openTokens(loadConfig({}).settings)).toBeUndefined();
});

describe('with a secret', () => {
  const tokens = open({ JWT_SECRET: jwtSecret });
  const saidOf = async (claims: Record<string, unknown>, signing?: Parameters<typeof sign>[1]) =>
    refusal(tokens, `Bearer ${await sign(claims, signing)}`);

  test.each([
    ['7', '7'],
    [7, '7'],
    ['18446744073709551615', '18446744073709551615'],
  ])('sub %j is the user %s', async (sub, user) => {
    expect(await tokens.userOf(`Bearer ${await sign({ sub })}`)).toBe(user);
    expect(await tokens.userOf(`bearer  ${await sign({ sub })} `)).toBe(user);
  });

  test.each([undefined, '', 'Bearer', 'Bearer ', 'Basic dTpw', 'Bearer a b'])('%j is no token', async (header) => {
    expect(await refusal(tokens, header)).toBe('TOKEN_MISSING: A bearer token is needed to write');
  });

  const wrong = 'TOKEN_INVALID: The bearer token is not valid: ';

  test.each<[string, Record<string, unknown>, string]>([
    ['expired', { sub: '1', exp: inSeconds(-60) }, 'it has expired'],
    ['not valid yet', { sub: '1', nbf: inSeconds(60) }, 'it is not valid yet'],
    ['without sub', {}, 'its claim sub is missing'],
    ['without exp', { sub: '1', exp: undefined }, 'its claim exp is missing'],
    ['with an exp that is no time', { sub: '1', exp: 'tomorrow' }, 'its claim exp is not as it must be'],
    ['of nobody', { sub: '' }, 'its claim sub is not the id of a user'],
    ['of a name', { sub: 'ada' }, 'its claim sub is not the id of a user'],
    ['of a list', { sub: ['1'] }, 'its claim sub is not the id of a user'],
    ['of a number beyond 2^53', { sub: 2 ** 53 + 2 }, 'its claim sub is not the id of a user'],
    ['of SQL', { sub: '1 OR 1=1' }, 'its claim sub is not the id of a user'],
  ])('a token %s', async (_, claims, reason) => {
    expect(await saidOf(claims)).toBe(wrong + reason);
  });

  test('a clock that is a few seconds ahead is no reason', async () => {
    expect(await saidOf({ sub: '1', nbf: inSeconds(2), iat: inSeconds(2) })).toBe('user 1');
  });

  test('a token that is signed with another secret, or was changed', async () => {
    expect(await saidOf({ sub: '1' }, { key: Buffer.from('x'.repeat(32)) })).toBe(`${wrong}its signature is wrong`);
    const [head = '', , signature = ''] = (await sign({ sub: '2' })).split('.');
    const payload = Buffer.from(JSON.stringify({ sub: '1', exp: inSeconds(60) })).toString('base64url');
    expect(await refusal(tokens, `Bearer ${head}.${payload}.${signature}`)).toBe(`${wrong}its signature is wrong`);
  });

  test('other algorithms, none among them', async () => {
    const other = `${wrong}its algorithm is not the one that is accepted`;
    for (const alg of ['HS384', 'HS512'])
      expect(await saidOf({ sub: '1' }, { alg, key: Buffer.alloc(64, jwtSecret) })).toBe(other);
    const { privateKey } = await makeKeyPair('k');
    expect(await saidOf({ sub: '1' }, { alg: 'RS256', key: privateKey })).toBe(other);
    const unsigned = new UnsecuredJWT({ sub: '1', exp: inSeconds(60) }).encode();
    expect(await refusal(tokens, `Bearer ${unsigned}`)).toBe(other);
    const [, , signature = ''] = (await sign({ sub: '1' })).split('.');
    expect(await refusal(tokens, `Bearer ${unsigned}${signature}`)).toBe(other);
  });

  test.each(['x', 'x.y', 'x.y.z', '..', 'a.b.c.d.e', `${'a'.repeat(9_000)}.b.c`])(
    '%#: what is no token',
    async (text) => {
      expect(await refusal(tokens, `Bearer ${text}`)).toBe(`${wrong}it is no signed JSON Web Token`);
    },
  );

  test('issuer and audience, where they are configured', async () => {
    const strict = open({ JWT_SECRET: jwtSecret, JWT_ISSUER: 'https://app.example.com', JWT_AUDIENCE: 'cache' });
    const claims = { sub: '1', iss: 'https://app.example.com', aud: ['cache', 'other'] };
    const said = async (changed: object) => refusal(strict, `Bearer ${await sign({ ...claims, ...changed })}`);
    expect(await said({})).toBe('user 1');
    expect(await said({ iss: 'https://evil.example' })).toBe(`${wrong}its claim iss is not as it must be`);
    expect(await said({ aud: 'other' })).toBe(`${wrong}its claim aud is not as it must be`);
    expect(await said({ iss: undefined })).toBe(`${wrong}its claim iss is missing`);
    expect(await said({ aud: undefined })).toBe(`${wrong}its claim aud is missing`);
  });
});

describe('with a key set', () => {
  const bounds = { timeoutMs: 500, freshMs: 60_000, restMs: 0 };
  const wrong = 'TOKEN_INVALID: The bearer token is not valid: ';
  const away = 'TOKEN_KEYS_UNAVAILABLE: The keys that tokens are checked with cannot be had; try again shortly';

  async function start(keys: readonly KeyPair[]) {
    const server = await startKeyServer(keys);
    stops.push(server.stop);
    return server;
  }

  function signed({ kid, privateKey }: KeyPair, alg = 'RS256'): Promise<string> {
    return sign({ sub: '3' }, { alg, kid, key: privateKey }).then((token) => `Bearer ${token}`);
  }

  test.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('%s, and nothing else', async (alg) => {
    const pair = await makeKeyPair('k', alg);
    const server = await start([pair]);
    const tokens = open({ JWT_JWKS_URL: server.url, JWT_JWKS_ALGORITHM: alg }, bounds);
    expect(await tokens.userOf(await signed(pair, alg))).toBe('3');
    const another = alg === 'RS256' ? 'ES256' : 'RS256';
    expect(await refusal(tokens, await signed(await makeKeyPair('k', another), another))).toBe(
      `${wrong}its algorithm is not the one that is accepted`,
    );
  });

  test('the public key is no secret: it signs nothing', async () => {
    const pair = await makeKeyPair('k');
    const tokens = open({ JWT_JWKS_URL: (await start([pair])).url }, bounds);
    const publicKey = (await importJWK(pair.publicJwk, 'RS256', { extractable: true })) as KeyPair['privateKey'];
    for (const key of [await exportSPKI(publicKey), JSON.stringify(pair.publicJwk), String(pair.publicJwk.n)]) {
      const token = await sign({ sub: '1' }, { kid: 'k', key: Buffer.from(key) });
      expect(await refusal(tokens, `Bearer ${token}`)).toBe(`${wrong}its algorithm is not the one that is accepted`);
    }
  });

  test('keys are asked for once, and anew for a key that is not known: what is added counts at once', async () => {
    const [first, second] = await Promise.all([makeKeyPair('1'), makeKeyPair('2')]);
    const server = await start([first]);
    const tokens = open({ JWT_JWKS_URL: server.url }, bounds);
    const header = await signed(first);
    await Promise.all(Array.from({ length: 8 }, () => tokens.userOf(header)));
    expect(server.asked).toBe(1);
    expect(await refusal(tokens, await signed(second))).toBe(`${wrong}its key is not known`);
    server.publish([first, second]);
    expect(await tokens.userOf(await signed(second))).toBe('3');
    expect(await tokens.userOf(header)).toBe('3');
    expect(server.asked).toBe(3);
  });

  test('a key that was taken back counts no longer than keys are fresh', async () => {
    const [old, other] = await Promise.all([makeKeyPair('old'), makeKeyPair('new')]);
    const server = await start([old]);
    const tokens = open({ JWT_JWKS_URL: server.url }, { ...bounds, freshMs: 0 });
    const header = await signed(old);
    expect(await tokens.userOf(header)).toBe('3');
    server.publish([other]);
    expect(await refusal(tokens, header)).toBe(`${wrong}its key is not known`);
  });

  test('tokens with unknown keys do not make the server of the keys be asked each time', async () => {
    const [known, unknown] = await Promise.all([makeKeyPair('1'), makeKeyPair('2')]);
    const server = await start([known]);
    const tokens = open({ JWT_JWKS_URL: server.url }, { ...bounds, restMs: 60_000 });
    for (let count = 0; count < 5; count += 1) await refusal(tokens, await signed(unknown));
    expect(server.asked).toBe(1);
  });

  test('a key of the same name that is another key', async () => {
    const [known, other] = await Promise.all([makeKeyPair('k'), makeKeyPair('k')]);
    const tokens = open({ JWT_JWKS_URL: (await start([known])).url }, bounds);
    expect(await refusal(tokens, await signed(other))).toBe(`${wrong}its signature is wrong`);
  });

  test.each<[string, Parameters<Awaited<ReturnType<typeof start>>['answer']>[0]]>([
    ['answers with an error', (_, response) => void response.writeHead(500).end('{"keys":[]}')],
    ['leads elsewhere', (_, response) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['answers with no JSON', (_, response) => void response.end('<html>')],
    ['answers with no key set', (_, response) => void response.end('{"keys":1}')],
    ['does not answer', () => undefined],
    ['does not end', (_, response) => void response.write('{"keys":[')],
    ['answers without end', (_, response) => void response.end(`{"keys":[],"more":"${'x'.repeat(300_000)}"}`)],
    ['cuts the connection', (request) => void request.socket.destroy()],
  ])('a server of keys that %s is no fault of the token', async (_, listener) => {
    const pair = await makeKeyPair('k');
    const server = await start([pair]);
    const tokens = open({ JWT_JWKS_URL: server.url }, { ...bounds, freshMs: 0 });
    const header = await signed(pair);
    server.answer(listener);
    expect(await refusal(tokens, header)).toBe(away);
    server.publish([pair]);
    expect(await tokens.userOf(header)).toBe('3');
  });

  test('while keys are fresh, nobody needs their server', async () => {
    const pair = await makeKeyPair('k');
    const server = await startKeyServer([pair]);
    const tokens = open({ JWT_JWKS_URL: server.url }, bounds);
    const header = await signed(pair);
    expect(await tokens.userOf(header)).toBe('3');
    await server.stop();
    expect(await tokens.userOf(header)).toBe('3');
    expect(await refusal(tokens, await signed(await makeKeyPair('other')))).toBe(away);
  });

  test('two keys without names, either of which could be the one', async () => {
    const pairs = await Promise.all([makeKeyPair('1'), makeKeyPair('2')]);
    const tokens = open({ JWT_JWKS_URL: (await start(pairs)).url }, bounds);
    const [{ privateKey }] = pairs;
    const token = await sign({ sub: '3' }, { alg: 'RS256', key: privateKey });
    expect(await refusal(tokens, `Bearer ${token}`)).toBe(`${wrong}its key is not known`);
  });
});

test('while a secret is exchanged, tokens of both are good, and of no third', async () => {
  const tokens = open({ JWT_SECRET: jwtSecret, JWT_SECRET_PREVIOUS: 'previous' });
  const signed = async (key: string, claims = {}) =>
    `Bearer ${await sign({ sub: '1', ...claims }, { key: Buffer.from(key) })}`;
  expect(await tokens.userOf(await signed(jwtSecret))).toBe('1');
  expect(await tokens.userOf(await signed('previous'))).toBe('1');
  expect(await refusal(tokens, await signed('third'))).toMatch(/its signature is wrong$/);
  expect(await refusal(tokens, await signed('previous', { exp: inSeconds(-60) }))).toMatch(/it has expired$/);
});
