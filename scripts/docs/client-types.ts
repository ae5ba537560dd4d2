import type { TSchema } from 'typebox';
import { clientLimits } from '../../src/realtime/limits.ts';
import { resources } from '../../src/resources/registry.ts';
import { type Resource, writableColumns } from '../../src/resources/resource.ts';
import { rowSchema } from '../../src/resources/row-schema.ts';

/** `client/src/generated.ts`: what the browser client knows of the resources, from their definitions. */
export function renderClientTypes(): string {
  return `${[
    '// Made by `npm run docs` from the definitions of the resources; a test fails when it is not what they say.',
    "import type { Collections } from './collections.ts';",
    '',
    ...resources.flatMap((resource) => [renderRow(resource), '']),
    'export interface Rows {',
    ...resources.map(({ name, label }) => `  readonly ${name}: ${label};`),
    '}',
    '',
    '/** What is given when a row is created. */',
    renderFields('NewRows', 'create'),
    '',
    '/** What may be changed of a row; what is left out stays. */',
    renderFields('RowChanges', 'update'),
    '',
    'export type ResourceName = keyof Rows;',
    '',
    '/** The kinds of the members of a row, as `typeof` tells them, or the shape of an object, which may be null. */',
    'export type Shape<Row> = { readonly [Member in keyof Row]-?: string | Shape<NonNullable<Row[Member]>> };',
    '',
    'export interface ResourceSpec<Row> {',
    '  readonly path: string;',
    '  readonly item: string;',
    '  readonly events: { readonly created: string; readonly updated: string; readonly deleted: string };',
    '  readonly shape: Shape<Row>;',
    '}',
    '',
    'export const resources: { readonly [Name in ResourceName]: ResourceSpec<Rows[Name]> } = {',
    ...resources.flatMap(renderSpec),
    '};',
    '',
    '/** Makes the collections of every resource. */',
    'export function mapResources(make: <Name extends ResourceName>(name: Name) => Collections<Name>): AllCollections {',
    `  return { ${resources.map(({ name }) => `${name}: make('${name}')`).join(', ')} };`,
    '}',
    '',
    'export type AllCollections = { readonly [Name in ResourceName]: Collections<Name> };',
    '',
    '/** How many rooms a client may be in at a time. */',
    `export const mostRooms = ${clientLimits.roomsAtATime};`,
  ].join('\n')}\n`;
}

function renderRow(resource: Resource): string {
  const members = propertiesOf(rowSchema(resource)).map(
    ([name, schema]) => `  readonly ${name}: ${typeOf(schema, '  ')};`,
  );
  return [`export interface ${resource.label} {`, ...members, '}'].join('\n');
}

function renderFields(title: string, moment: 'create' | 'update'): string {
  const mark = moment === 'create' ? '' : '?';
  const groups = resources.map(({ name, columns }) => {
    const fields = writableColumns(columns, moment).map(
      (each) => `    readonly ${each}${mark}: ${typeOf(columns[each]?.json ?? {}, '    ')};\n`,
    );
    return `  readonly ${name}: {\n${fields.join('')}  };`;
  });
  return [`export interface ${title} {`, ...groups, '}'].join('\n');
}

function renderSpec(resource: Resource): string[] {
  const { name, item, path, events } = resource;
  const told = Object.entries(events).map(([what, event]) => `${what}: '${event}'`);
  return [
    `  ${name}: {`,
    `    path: '${path}',`,
    `    item: '${item}',`,
    `    events: { ${told.join(', ')} },`,
    `    shape: ${shapeOf(rowSchema(resource), '    ')},`,
    '  },',
  ];
}

function typeOf(schema: TSchema | object, indent: string): string {
  const kinds = kindsOf(schema);
  if (kinds !== undefined) return kinds.join(' | ');
  const members = propertiesOf(embeddedOf(schema)).map(
    ([name, member]) => `${indent}  readonly ${name}: ${typeOf(member, `${indent}  `)};`,
  );
  return ['{', ...members, `${indent}} | null`].join('\n');
}

function shapeOf(schema: TSchema | object, indent: string): string {
  const members = propertiesOf(schema).map(([name, member]) => {
    const kinds = kindsOf(member);
    return `${indent}  ${name}: ${kinds === undefined ? shapeOf(embeddedOf(member), `${indent}  `) : `'${kinds.join('|')}'`},`;
  });
  return ['{', ...members, `${indent}}`].join('\n');
}

/** Of a plain value; `undefined` for a row of another table, which may be missing. */
function kindsOf(schema: object): string[] | undefined {
  const { type }: { type?: unknown } = Object(schema);
  if (type === undefined) return undefined;
  const names = Array.isArray(type) ? type : [type];
  return names.map((each) => (each === 'integer' ? 'number' : `${each}`));
}

function embeddedOf(schema: object): object {
  const { anyOf }: { anyOf?: unknown } = Object(schema);
  const found = Array.isArray(anyOf) ? anyOf.find((each) => Object(each).type === 'object') : undefined;
  if (found === undefined) throw new TypeError(`no kind of member that the client knows: ${JSON.stringify(schema)}`);
  return Object(found);
}

function propertiesOf(schema: TSchema | object): [string, object][] {
  return Object.entries(Object(Object(schema).properties));
}
