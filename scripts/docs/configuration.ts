import { options } from '../../src/options.ts';
import { code, table } from './sections.ts';

type Name = keyof typeof options;

/** The settings that a first deployment needs; the README shows these, `docs/configuration.md` shows all. */
const essentials: readonly Name[] = [
  'PORT',
  'NODE_ENV',
  'REDIS_HOST',
  'REDIS_PORT',
  'REDIS_PASSWORD',
  'REDIS_URL',
  'DB_HOST',
  'DB_PORT',
  'DB_USERNAME',
  'DB_PASSWORD',
  'DB_DATABASE',
  'DATABASE_URL',
  'FRONTEND_URL',
  'REALTIME_API_SECRET',
  'JWT_SECRET',
  'JWT_JWKS_URL',
  'ALLOW_OPEN_WRITES',
  'WRITE_WITHOUT_CACHE',
  'LOG_LEVEL',
];

export function renderEssentials(): string {
  return table(
    ['setting', 'default', 'meaning'],
    essentials.map((name) => [code(name), defaultOf(name), options[name].description]),
  );
}

export function renderConfiguration(): string {
  const rows = settingNames().map((name) => [code(name), options[name].kind, defaultOf(name), descriptionOf(name)]);
  return table(['setting', 'value', 'default', 'meaning'], rows);
}

/** Every setting of the service, in the order of the option table. */
export function settingNames(): Name[] {
  // The keys of an object literal that nobody adds to are exactly the names of its type.
  return Object.keys(options) as Name[];
}

/** Whether `NAME_FILE` may name a file that holds the value. */
export function isSecret(name: Name): boolean {
  const option: { readonly secret?: boolean } = options[name];
  return option.secret === true;
}

function defaultOf(name: Name): string {
  const { default: standard, shown } = options[name];
  if (shown !== undefined) return code(shown);
  if (standard === undefined) return 'not set';
  if (standard === '') return 'empty';
  return code(typeof standard === 'object' ? JSON.stringify(standard) : String(standard));
}

function descriptionOf(name: Name): string {
  const { description } = options[name];
  return isSecret(name) ? `${description} Secret: ${code(`${name}_FILE`)} may name a file that holds it.` : description;
}
