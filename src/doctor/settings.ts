import { totalmem } from 'node:os';
import { isLoopback } from '../access-settings.ts';
import type { Backend, RedisAddress } from '../config.ts';
import type { Settings } from '../options.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

/** What the settings alone tell. */
export function examineSettings({
  settings,
  backend,
  problems,
}: {
  readonly settings: Settings;
  readonly backend: Backend | undefined;
  readonly problems: readonly string[];
}): Finding[] {
  return [
    ...examineValues(problems),
    examineNode(),
    ...(backend === undefined ? [] : [examineBackend(backend, settings)]),
    examineSecret(settings),
    examineWrites(settings),
    ...examineLimits(settings),
    examineOrigins(settings),
    ...(backend?.kind === 'servers' ? [examineRedisAccess(backend.redis), examineUser(backend.database.user)] : []),
    ...examineMemory(settings),
  ];
}

function examineValues(problems: readonly string[]): Finding[] {
  if (problems.length === 0) return [ok('settings.values', 'all settings have values in their range')];
  return problems.map((problem) =>
    fail('settings.values', {
      finding: problem,
      meaning: 'The service does not start.',
      remedy: `# in the environment or .env; docs/configuration.md has every setting: ${nameIn(problem)}=...`,
    }),
  );
}

function nameIn(problem: string): string {
  return /^[A-Z_]+/.exec(problem)?.[0] ?? '';
}

/** As `engines` of package.json says. */
const oldestNode = [22, 18] as const;

function examineNode(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isRecent = major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1]);
  if (isRecent) return ok('node.version', `Node ${version}`);
  return fail('node.version', {
    finding: `Node ${version}, where ${oldestNode.join('.')} is the oldest that works`,
    meaning: 'Parts of the service fail to load.',
    remedy: 'npm install   # brings a Node of its own, which npm run uses',
  });
}

function examineBackend(backend: Backend, { NODE_ENV }: Settings): Finding {
  if (backend.kind === 'servers') {
    const { prefix } = backend.redis;
    const keys = prefix === undefined ? '' : `, where all keys begin with ${prefix}`;
    return ok('settings.backend', `${describeRedis(backend.redis)}${keys}; database at ${at(backend.database)}`);
  }
  const where =
    backend.location === ':memory:' ? 'its data ends with the process' : `its data is in ${backend.location}`;
  return warn('settings.backend', {
    finding: `the embedded default: neither REDIS_HOST nor DB_HOST is set, ${where}`,
    meaning: `One process with sample rows, to try things with${NODE_ENV === 'development' ? '' : '; no other instance sees it'}.`,
    remedy: 'REDIS_HOST=... DB_HOST=... DB_USERNAME=... DB_PASSWORD=... DB_DATABASE=... npx energex-cache doctor',
  });
}

function describeRedis(redis: RedisAddress): string {
  if (redis.kind === 'single') return `Redis at ${at(redis)}`;
  if (redis.kind === 'sentinel') return `Redis ${redis.master} by Sentinels ${redis.sentinels.map(at).join(', ')}`;
  return `Redis Cluster by nodes ${redis.nodes.map(at).join(', ')}`;
}

function at({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

const newSecret = 'REALTIME_API_SECRET=$(openssl rand -hex 32)   # the same for the PHP backend';
const leastSecretLength = 32;
const leastDistinct = 8;
const wordsInSecrets = /secret|password|change|example|test|token|energex|1234|qwerty/i;

/** Strength by length and variety: a secret that a generator made passes, one that a person thought of does not. */
function examineSecret({ REALTIME_API_SECRET: secret, NODE_ENV }: Settings): Finding {
  const id = 'settings.secret';
  if (secret === undefined) {
    return warn(id, {
      finding: 'REALTIME_API_SECRET is not set',
      meaning: 'POST /internal/broadcast answers 403 to everybody, so the PHP backend cannot tell of its changes.',
      remedy: newSecret,
    });
  }
  const weakness =
    secret.length < leastSecretLength
      ? `has ${secret.length} characters`
      : new Set(secret).size < leastDistinct
        ? 'repeats a few characters'
        : wordsInSecrets.test(secret)
          ? 'has a word in it that is tried first'
          : undefined;
  if (weakness === undefined) return ok(id, `REALTIME_API_SECRET has ${secret.length} characters`);
  const judge = NODE_ENV === 'production' ? fail : warn;
  return judge(id, {
    finding: `REALTIME_API_SECRET is weak: it ${weakness}`,
    meaning: 'Who guesses it sends any event to every browser and empties the cache at will.',
    remedy: newSecret,
  });
}

function examineWrites({ JWT_SECRET, JWT_JWKS_URL, JWT_JWKS_ALGORITHM, NODE_ENV }: Settings): Finding {
  const id = 'settings.writes';
  if (JWT_SECRET !== undefined) return ok(id, 'who writes needs a token, signed with JWT_SECRET (HS256)');
  if (JWT_JWKS_URL !== undefined) {
    return ok(id, `who writes needs a token, signed with a key of ${JWT_JWKS_URL.host} (${JWT_JWKS_ALGORITHM})`);
  }
  return warn(id, {
    finding: `writes are open: neither JWT_SECRET nor JWT_JWKS_URL is set${NODE_ENV === 'production' ? ' and NODE_ENV is production' : ''}`,
    meaning: 'Whoever reaches the port creates, changes and deletes rows in the name of any user.',
    remedy: 'JWT_SECRET=...   # the secret that the PHP backend signs its tokens with',
  });
}

/** Of production alone: who tries things out is alone with the service. */
function examineLimits({ RATE_LIMIT_WRITES: writes, NODE_ENV }: Settings): Finding[] {
  if (NODE_ENV !== 'production') return [];
  const id = 'settings.rate-limits';
  if (writes > 0) return [ok(id, `an address may write ${writes} times a minute`)];
  return [
    warn(id, {
      finding: 'RATE_LIMIT_WRITES is 0: one address may write as often as it can',
      meaning: 'Unless something in front of the service sets a limit, one client can keep the database busy.',
      remedy: 'RATE_LIMIT_WRITES=600 TRUSTED_PROXIES=10.0.0.0/8   # the addresses of the proxies in front',
    }),
  ];
}

function examineOrigins({ FRONTEND_URL: origins, NODE_ENV }: Settings): Finding {
  const id = 'settings.frontend-url';
  const isProduction = NODE_ENV === 'production';
  const local = origins.filter((origin) => isLoopback(new URL(origin).hostname));
  const plain = origins.filter((origin) => origin.startsWith('http:') && !local.includes(origin));
  const remedy = 'FRONTEND_URL=https://app.example.com   # all origins of the frontend, separated by commas';
  if (isProduction && local.length > 0) {
    const judge = local.length === origins.length ? fail : warn;
    return judge(id, {
      finding: `FRONTEND_URL has ${local.join(', ')} and NODE_ENV is production`,
      meaning:
        local.length === origins.length
          ? 'No browser but those on this machine may read answers or connect.'
          : 'Pages that somebody serves on their own machine may read answers and connect.',
      remedy,
    });
  }
  if (isProduction && plain.length > 0) {
    return warn(id, {
      finding: `FRONTEND_URL has ${plain.join(', ')}, without TLS`,
      meaning: 'Who is on the way can change the page, and with it what it asks of the service.',
      remedy,
    });
  }
  return ok(id, `FRONTEND_URL is ${origins.join(', ')}`);
}

function examineRedisAccess(redis: RedisAddress): Finding {
  const id = 'settings.redis-password';
  const hosts =
    redis.kind === 'single'
      ? [redis.host]
      : (redis.kind === 'cluster' ? redis.nodes : redis.sentinels).map((each) => each.host);
  if (redis.password !== undefined) return ok(id, 'Redis is reached with a password');
  if (hosts.every(isLoopback)) return ok(id, 'Redis is on this machine, without a password');
  return warn(id, {
    finding: 'Redis is reached over a network without a password',
    meaning: 'Whoever gets to its port reads and changes what the service answers.',
    remedy:
      'redis-cli CONFIG SET requirepass "$(openssl rand -hex 32)"   # then REDIS_PASSWORD to the same, and in its redis.conf',
  });
}

function examineUser(user: string): Finding {
  const id = 'settings.database-user';
  if (user !== 'root') return ok(id, `the database is used as ${user}`);
  return warn(id, {
    finding: 'the database is used as root',
    meaning: 'The service could do far more than it needs.',
    remedy:
      "CREATE USER 'energex'@'%' IDENTIFIED BY '...'; GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, REFERENCES ON `energex`.* TO 'energex'@'%';   -- then DB_USERNAME and DB_PASSWORD",
  });
}

const bytesPerMb = 1024 * 1024;
/** What the process needs beside the tiers that have bounds. */
const baseMb = 256;

/** What the bounds allow altogether, against what the machine or the container has. */
function examineMemory(settings: Settings): Finding[] {
  const { MEMORY_TIER_MB, OUTGOING_MB } = settings;
  const wantedMb = MEMORY_TIER_MB + OUTGOING_MB + baseMb;
  // Without a limit for the process it is 0, or beyond what any machine has.
  const limit = Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem());
  const limitMb = Math.floor(limit / bytesPerMb);
  if (wantedMb <= limitMb) return [];
  return [
    warn('settings.memory', {
      finding: `MEMORY_TIER_MB and OUTGOING_MB allow ${wantedMb} MiB with what the process needs itself; there are ${limitMb}`,
      meaning: 'Under load the process may be killed for want of memory.',
      remedy: `OUTGOING_MB=${Math.max(1, limitMb - MEMORY_TIER_MB - baseMb)}`,
    }),
  ];
}
