import type { Resource } from '../resources/resource.ts';
import {
  answerSchema,
  controlEventDefinitions,
  type EventDefinition,
  handshakeSchema,
  messageDefinition,
  positionSchema,
  requestDefinitions,
  roomSchema,
  rowEventDefinitions,
} from './definitions.ts';
import { clientLimits } from './limits.ts';

const channel = { $ref: '#/channels/live' };

/**
 * The live events as an AsyncAPI document: https://www.asyncapi.com/docs/reference/specification/v3.0.0
 *
 * It knows no Socket.IO. A message is an event: `name` is its name, `payload` its first argument, `headers` its second;
 * the reply of an operation is what its acknowledgement is called with.
 */
export function describeLiveEvents(resources: readonly Resource[], version: string): object {
  const events = [...rowEventDefinitions(resources), messageDefinition, ...controlEventDefinitions];
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'EnergeX Cache Service: live events',
      version,
      description:
        'Events over Socket.IO 4. The payload of a message is the first argument of the event, its headers are the second.',
    },
    defaultContentType: 'application/json',
    servers: {
      service: {
        host: '{host}',
        pathname: '/socket.io/',
        protocol: 'wss',
        description: 'Socket.IO 4, by WebSocket or by polling.',
        variables: { host: { default: 'localhost:4000', description: 'Where the service is.' } },
      },
    },
    channels: {
      live: {
        address: '/',
        title: 'The default namespace',
        messages: { ...byKey(events, messageOf), ...requestMessages(), answer: { payload: reference('answer') } },
        'x-handshake': { auth: reference('handshake') },
        'x-limits': clientLimits,
      },
    },
    operations: { ...byKey(events, sendOperation), ...requestOperations() },
    components: {
      schemas: {
        ...byKey(events, ({ data }) => data),
        position: positionSchema,
        handshake: handshakeSchema,
        room: roomSchema(resources),
        answer: answerSchema,
      },
    },
  };
}

function byKey<T>(events: readonly EventDefinition[], make: (event: EventDefinition) => T): Record<string, T> {
  return Object.fromEntries(events.map((event) => [event.key, make(event)]));
}

function messageOf({ event, key, when, hasPosition }: EventDefinition): object {
  return {
    name: event,
    title: key,
    summary: `Sent when ${when}.`,
    ...(hasPosition ? { headers: reference('position') } : {}),
    payload: reference(key),
  };
}

function sendOperation({ key, when }: EventDefinition): object {
  return { action: 'send', channel, summary: `Sent when ${when}.`, messages: [messageReference(key)] };
}

function requestMessages(): Record<string, object> {
  return Object.fromEntries(
    requestDefinitions.map(({ event, when }) => [
      event,
      { name: event, title: event, summary: `Asks to ${when}.`, payload: reference('room') },
    ]),
  );
}

function requestOperations(): Record<string, object> {
  return Object.fromEntries(
    requestDefinitions.map(({ event, when }) => [
      event,
      {
        action: 'receive',
        channel,
        summary: `Asks to ${when}.`,
        messages: [messageReference(event)],
        reply: { channel, messages: [messageReference('answer')] },
      },
    ]),
  );
}

function reference(schema: string): { $ref: string } {
  return { $ref: `#/components/schemas/${schema}` };
}

function messageReference(key: string): { $ref: string } {
  return { $ref: `#/channels/live/messages/${key}` };
}
