import { controlEventDefinitions, messageDefinition, rowEventDefinitions } from '../../src/realtime/definitions.ts';
import { clientLimits } from '../../src/realtime/limits.ts';
import { resources } from '../../src/resources/registry.ts';
import { code, table } from './sections.ts';

export function renderEvents(): string {
  const rows = [...rowEventDefinitions(resources), messageDefinition, ...controlEventDefinitions].map(
    ({ event, dataName, when, hasPosition }) => [
      event === messageDefinition.event ? 'any other' : code(event),
      dataName,
      hasPosition ? 'yes' : 'no',
      when,
    ],
  );
  return table(['event', 'data', 'with a position', 'when'], rows);
}

export function renderLimits(): string {
  const { messageBytes, messagesPerSecond, messagesAtOnce, roomsAtATime, outgoingBytes } = clientLimits;
  return table(
    ['what', 'limit', 'beyond it'],
    [
      ['origin', '`FRONTEND_URL`, exactly, by WebSocket and by polling', 'refused, 403'],
      ['connections of one address', '`SOCKETS_PER_ADDRESS`; behind a proxy set `TRUSTED_PROXIES`', 'refused, 403'],
      [
        'rooms of a client',
        `${roomsAtATime} at a time`,
        'answered `{ ok: false }`; those of a handshake are passed over',
      ],
      ['a message of a client', `${messageBytes / 1024} KiB`, 'disconnected'],
      ['messages of a client', `${messagesPerSecond} a second, ${messagesAtOnce} at once`, 'disconnected'],
      [
        'what is on its way to a client',
        `${outgoingBytes / 1024 / 1024} MiB`,
        'disconnected; it comes back and catches up',
      ],
      ['names of events', 'not those of Socket.IO, nor `energex:...`', '400'],
    ],
  );
}
