import { type TSchema, Type } from 'typebox';
import { type Resource, writableColumns } from '../resources/resource.ts';

/** What the bodies of writes must be, as JSON Schema: it checks them (`validation.ts`) and it describes them (`openapi/`). */

/** Of a `POST` or a `PUT`: all that a client gives, or at least one thing to change. */
export function bodySchema({ columns }: Pick<Resource, 'columns'>, moment: 'create' | 'update'): object {
  const names = writableColumns(columns, moment);
  const properties = Object.fromEntries(names.map((name) => [name, schemaOf(columns, name)]));
  if (moment === 'create') return { type: 'object', properties, required: names };
  return { type: 'object', properties, anyOf: names.map((name) => ({ required: [name] })) };
}

/** Of a `DELETE`: who owns the row, where somebody does. */
export function deleteSchema({ owner, columns }: Pick<Resource, 'owner' | 'columns'>): object {
  return { type: 'object', properties: owner === undefined ? {} : { [owner]: schemaOf(columns, owner) } };
}

/** Of `POST /internal/broadcast`. */
export const broadcastSchema = Type.Object({
  event: Type.String({ notBlank: true, wellFormed: true, maxLength: 255 }),
  data: Type.Unknown(),
});

function schemaOf(columns: Resource['columns'], name: string): TSchema {
  return columns[name]?.schema ?? Type.Unknown();
}
