import { type TSchema, Type } from 'typebox';
import { type Resource, writableColumns } from '../resources/resource.ts';

/** What the bodies of writes must be, as JSON Schema: it checks them (`validation.ts`) and it describes them (`openapi/`). */

/** Whether everybody may write, or who has a token. */
export type Writes = 'open' | 'token';

type Shape = Pick<Resource, 'owner' | 'columns'>;

/** Of a `POST` or a `PUT`: all that a client gives, or at least one thing to change. */
export function bodySchema(resource: Shape, moment: 'create' | 'update', writes: Writes): object {
  const { columns } = resource;
  const names = givenColumns(resource, moment, writes);
  const properties = Object.fromEntries(names.map((name) => [name, schemaOf(columns, name)]));
  if (moment === 'create') return { type: 'object', properties, required: names };
  return { type: 'object', properties, anyOf: names.map((name) => ({ required: [name] })) };
}

/** What a client gives: a token says itself whose the row is, whatever stands in the body. */
export function givenColumns({ columns, owner }: Shape, moment: 'create' | 'update', writes: Writes): string[] {
  const names = writableColumns(columns, moment);
  return writes === 'open' ? names : names.filter((name) => name !== owner);
}

/** Of a `DELETE`: who owns the row, where somebody does and no token says who asks. */
export function deleteSchema({ owner, columns }: Shape, writes: Writes): object {
  const isAsked = owner !== undefined && writes === 'open';
  return { type: 'object', properties: isAsked ? { [owner]: schemaOf(columns, owner) } : {} };
}

/** Of `POST /internal/broadcast`. */
export const broadcastSchema = Type.Object({
  event: Type.String({ notBlank: true, wellFormed: true, maxLength: 255 }),
  data: Type.Unknown(),
});

function schemaOf(columns: Resource['columns'], name: string): TSchema {
  return columns[name]?.schema ?? Type.Unknown();
}
