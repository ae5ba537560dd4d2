import { resources } from '../../src/resources/registry.ts';
import { code, table } from './sections.ts';

/** What each resource of the registry gives to its users: path, keys, times to live, live events. */
export function renderResources(): string {
  const rows = resources.map((resource) => {
    const { path, listKey, ttl, events } = resource;
    return [
      code(path),
      `${code(listKey)} (${duration(ttl.list)})`,
      `${code(resource.itemKey('{id}'))} (${duration(ttl.item)}; a row that does not exist: ${duration(ttl.absent)})`,
      [events.created, events.updated, events.deleted].map(code).join(', '),
    ];
  });
  return table(['path', 'key of the list (time to live)', 'key of a row (time to live)', 'live events'], rows);
}

function duration(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1_000} s`;
}
