import { type Config, loadConfig } from '../../src/config.ts';
import { CatalogueError } from '../../src/errors.ts';

type Environment = Record<string, string>;

/** What `loadConfig` has to say against it: one problem per line. */
export function problems(environment: Environment): string[] {
  try {
    loadConfig(environment);
  } catch (error) {
    if (!(error instanceof CatalogueError) || error.code !== 'CONFIG_INVALID') throw error;
    return error.message.replace(/^Invalid configuration: /, '').split('; ');
  }
  return [];
}

export function settingsOf(environment: Environment): Config['settings'] {
  return loadConfig(environment).settings;
}

export function serversOf(environment: Environment): Extract<Config['backend'], { kind: 'servers' }> {
  const { backend } = loadConfig(environment);
  if (backend.kind !== 'servers') throw new Error('the embedded default was chosen');
  return backend;
}
