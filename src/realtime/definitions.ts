import { type TSchema, Type } from 'typebox';
import type { Resource } from '../resources/resource.ts';
import { rowSchema } from '../resources/row-schema.ts';
import { drainEvent, sessionEvent } from './events.ts';
import { clientLimits } from './limits.ts';

/**
 * Everything that passes between the service and its live clients, in one place: `asyncapi.ts`, `docs/events.md` and the
 * browser client are made from this. A test provokes each of them and compares.
 */
export interface EventDefinition {
  readonly event: string;
  /** For identifiers where the name of an event may not stand. */
  readonly key: string;
  readonly data: TSchema;
  /** For people: a short name of the data. */
  readonly dataName: string;
  readonly when: string;
  /** It has a second argument, `position`. */
  readonly hasPosition: boolean;
}

/** What happened to rows. */
export function rowEventDefinitions(resources: readonly Resource[]): EventDefinition[] {
  return resources.flatMap((resource) => {
    const { item, events } = resource;
    const row = rowSchema(resource);
    const define = (event: string, data: TSchema, dataName: string, what: string): EventDefinition => ({
      event,
      key: event,
      data,
      dataName,
      when: `a ${item} was ${what}`,
      hasPosition: true,
    });
    return [
      define(events.created, row, `the ${item}`, 'created'),
      define(events.updated, row, `the ${item}`, 'changed'),
      define(events.deleted, deletedRow, '`{ id }`', 'deleted'),
    ];
  });
}

/** Beyond 2^53 an id is told as its digits. */
const deletedRow = Type.Object(
  { id: Type.Unsafe<number | string>({ type: ['integer', 'string'], minimum: 1, pattern: '^[1-9][0-9]{0,19}$' }) },
  { additionalProperties: false },
);

/** Whatever somebody asked for. */
export const messageDefinition: EventDefinition = {
  event: '*',
  key: 'message',
  data: Type.Unknown(),
  dataName: 'whatever was sent',
  when: 'somebody asked for it: `POST /internal/broadcast`',
  hasPosition: true,
};

const epoch = Type.Union([Type.String({ minLength: 1 }), Type.Null()]);
const offset = Type.Integer({ minimum: 0 });

/** Only for clients that send `epoch` in the handshake. */
export const controlEventDefinitions: readonly EventDefinition[] = [
  {
    event: sessionEvent,
    key: 'session',
    data: Type.Object(
      { epoch, offset: Type.Union([offset, Type.Null()]), recovered: Type.Boolean() },
      { additionalProperties: false },
    ),
    dataName: '`{ epoch, offset, recovered }`',
    when: 'the client is connected, or something may have been missed since',
    hasPosition: false,
  },
  {
    event: drainEvent,
    key: 'drain',
    data: Type.Object({ delayMs: Type.Integer({ minimum: 0 }) }, { additionalProperties: false }),
    dataName: '`{ delayMs }`',
    when: 'the instance stops: how long to wait before connecting again',
    hasPosition: false,
  },
];

/** The second argument of events. */
export const positionSchema = Type.Union(
  [
    Type.Object({ epoch: Type.String({ minLength: 1 }), offset, version: offset }, { additionalProperties: false }),
    Type.Object({ epoch: Type.Null(), offset: Type.Null(), version: Type.Null() }, { additionalProperties: false }),
  ],
  { description: 'Where an event stands. All `null` while the instance cannot reach the event log.' },
);

/** What a client may send in `auth`; all of it may be left out, and what is not understood is passed over. */
export const handshakeSchema = Type.Object({
  epoch: Type.Optional(epoch),
  offset: Type.Optional(Type.Union([offset, Type.Null()])),
  rooms: Type.Optional(Type.Array(Type.String(), { maxItems: clientLimits.roomsAtATime })),
});

/** What a client may ask for, once connected; the argument is the name of a room. */
export const requestDefinitions: readonly { readonly event: string; readonly when: string }[] = [
  { event: 'subscribe', when: 'hear the changes of a room, and no others' },
  { event: 'unsubscribe', when: 'hear them no more' },
];

export const answerSchema = Type.Union([
  Type.Object({ ok: Type.Literal(true) }, { additionalProperties: false }),
  Type.Object({ ok: Type.Literal(false), message: Type.String() }, { additionalProperties: false }),
]);

/** The names of the rooms there are. */
export function roomSchema(resources: readonly Resource[]): TSchema {
  const names = resources.flatMap(({ name, item }) => [name, `${item}:[1-9][0-9]{0,19}`]);
  return Type.String({ pattern: `^(?:${names.join('|')})$` });
}
