import { type Key, type KeyName, splitKey } from '../cache/key.ts';
import { prefixesOf } from './changes.ts';
import { isIdentifier } from './identifier.ts';
import type { Resource } from './resource.ts';

/** What a key stands for, by the definitions of the resources. */
export type KeyMeaning = { readonly resource: Resource; readonly name: KeyName } & (
  | { readonly kind: 'row'; readonly id: string }
  | { readonly kind: 'list' }
  | { readonly kind: 'page'; readonly part: string }
  | { readonly kind: 'segment'; readonly number: bigint }
);

/** `undefined` for a key that no resource has. */
export function meaningOfKey(key: Key, resources: readonly Resource[]): KeyMeaning | undefined {
  const { name, part } = splitKey(key);
  for (const resource of resources) {
    if (name === resource.listKey) {
      return part === '' ? { kind: 'list', resource, name } : { kind: 'page', resource, name, part };
    }
    if (part !== '') continue;
    const { segmentPrefix } = resource;
    const number = name.startsWith(segmentPrefix) ? name.slice(segmentPrefix.length) : '';
    if (number === '0' || isIdentifier(number)) return { kind: 'segment', resource, name, number: BigInt(number) };
    const prefix = resource.itemKey('');
    const id = name.startsWith(prefix) ? name.slice(prefix.length) : '';
    if (isIdentifier(id)) return { kind: 'row', resource, name, id };
  }
  return undefined;
}

/** What goes so that nothing that shows what is under a key is served any more. */
export interface Invalidation {
  readonly prefixes: readonly string[];
  /** Behind the prefixes: the list may be filled again once its segments may. */
  readonly names: readonly KeyName[];
}

/** The same for a key, or for all of a resource by its name; `undefined` for what is neither. */
export function invalidationFor(what: string, resources: readonly Resource[]): Invalidation | undefined {
  const resource = resources.find(({ name }) => name === what);
  if (resource !== undefined) return { prefixes: prefixesOf(resource), names: [] };
  const meaning = meaningOfKey(what, resources);
  return meaning === undefined ? undefined : invalidationOf(meaning);
}

/** As after a write: of a row also its segment and its list, of a list all of its segments. */
export function invalidationOf(meaning: KeyMeaning): Invalidation {
  const { resource } = meaning;
  switch (meaning.kind) {
    case 'row':
      return { prefixes: [], names: resource.keysAffectedBy(meaning.id) };
    case 'segment':
      return { prefixes: [], names: [meaning.name, resource.listKey] };
    case 'list':
    case 'page':
      return { prefixes: [resource.segmentPrefix], names: [resource.listKey] };
  }
}

/** For how long what is under a key lives at most, in milliseconds; `isAbsent`: it says that there is no such row. */
export function wholeTtl({ kind, resource: { ttl } }: KeyMeaning, isAbsent: boolean): number {
  if (kind !== 'row') return ttl.list;
  return isAbsent ? ttl.absent : ttl.item;
}

/** Every form that a key can have, for people. */
export function keyForms(resources: readonly Resource[]): readonly string[] {
  return resources.flatMap((resource) => [
    resource.itemKey('1'),
    resource.listKey,
    resource.pageKey(20, undefined),
    `${resource.segmentPrefix}0`,
  ]);
}
