import { type TSchema, Type } from 'typebox';
import type { Column } from './columns.ts';
import type { Resource } from './resource.ts';

/** A row as it stands in answers and events, as JSON Schema: what `Resource.toJson` writes. */
export function rowSchema({ columns, embed }: Pick<Resource, 'columns' | 'embed'>): TSchema {
  const members = membersOf(columns);
  if (embed === undefined) return Type.Object(members, { additionalProperties: false });
  const embedded = Type.Object(membersOf(embed.columns), { additionalProperties: false });
  return Type.Object({ ...members, [embed.as]: Type.Union([embedded, Type.Null()]) }, { additionalProperties: false });
}

function membersOf(columns: Readonly<Record<string, Column>>): Record<string, TSchema> {
  return Object.fromEntries(Object.entries(columns).map(([name, { json }]) => [name, json]));
}
