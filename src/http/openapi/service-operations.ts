import { Type } from 'typebox';
import { CatalogueError } from '../../errors.ts';
import { broadcastSchema } from '../body-schemas.ts';
import type { Operation, Parameter, Schemas } from './operation.ts';

/** As Kubernetes' own probes have it. */
const verbose: Parameter = {
  name: 'verbose',
  in: 'query',
  description: 'All checks, a line each.',
  schema: { type: 'string' },
};
const plain = { headers: ['Cache-Control'], schema: 'Plain', mediaType: 'text/plain' } as const;

/** What the service answers that belongs to no resource. */
export const serviceOperations: readonly Operation[] = [
  {
    id: 'health',
    method: 'get',
    path: '/cache/health',
    tag: 'service',
    summary: 'The state of the service',
    description: 'Answered within 2 seconds, whatever hangs.',
    parameters: [],
    answers: [
      { status: 200, description: 'All is well.', headers: ['Cache-Control'], schema: 'Health' },
      {
        status: 503,
        description: 'A part is unhealthy, or the service is going down.',
        headers: ['Cache-Control'],
        schema: 'Health',
      },
    ],
    problems: [],
    exchanges: [
      {
        name: 'healthy',
        answer: {
          status: 200,
          body: {
            status: 'ok',
            timestamp: '2025-01-02T03:04:05.678Z',
            services: { redis: 'healthy', mysql: 'healthy' },
          },
        },
      },
    ],
  },
  {
    id: 'broadcast',
    method: 'post',
    path: '/internal/broadcast',
    tag: 'service',
    summary: 'Tells every browser something',
    description:
      'If the event is one of a resource and `data.id` is the id of a row, what is cached of the row goes before the event goes out.',
    parameters: [],
    needsSecret: true,
    body: { schema: 'Broadcast', required: true },
    answers: [{ status: 200, description: 'It is on its way.', headers: [], schema: 'BroadcastSent' }],
    problems: [
      'VALIDATION_FAILED',
      'INVALID_JSON',
      'RESERVED_EVENT',
      'BROADCAST_FORBIDDEN',
      'RATE_LIMITED',
      'BODY_TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    exchanges: [
      {
        name: 'sent',
        body: { event: 'announcement', data: { text: 'Maintenance at noon' } },
        answer: { status: 200, body: { message: 'Broadcast successful' } },
      },
      {
        name: 'reserved',
        body: { event: 'disconnect', data: null },
        answer: new CatalogueError('RESERVED_EVENT', { params: { event: 'disconnect' } }),
      },
      {
        name: 'forbidden',
        isForbidden: true,
        body: { event: 'announcement', data: null },
        answer: new CatalogueError('BROADCAST_FORBIDDEN'),
      },
    ],
  },
  {
    id: 'stats',
    method: 'get',
    path: '/internal/stats',
    tag: 'service',
    summary: 'Live figures of the process that answers',
    description: 'What `energex-cache stats` and `top` show.',
    parameters: [],
    needsSecret: true,
    answers: [{ status: 200, description: 'Rates are per second.', headers: ['Cache-Control'], schema: 'Stats' }],
    problems: ['BROADCAST_FORBIDDEN'],
    exchanges: [],
  },
  {
    id: 'live',
    method: 'get',
    path: '/livez',
    tag: 'service',
    summary: 'Whether the process answers',
    description: 'It touches nothing else.',
    parameters: [verbose],
    answers: [{ ...plain, status: 200, description: 'It does.' }],
    problems: [],
    exchanges: [],
  },
  {
    id: 'ready',
    method: 'get',
    path: '/readyz',
    tag: 'service',
    summary: 'Whether requests should be sent here',
    description: 'Without Redis it is ready, and says so with a warning.',
    parameters: [verbose],
    answers: [
      { ...plain, status: 200, description: 'They should.' },
      { ...plain, status: 503, description: 'They should not, and why.' },
    ],
    problems: [],
    exchanges: [],
  },
  {
    id: 'metrics',
    method: 'get',
    path: '/metrics',
    tag: 'service',
    summary: 'Metrics for Prometheus',
    description: 'With `METRICS_TOKEN` set, only for those who send it as a bearer token.',
    parameters: [],
    answers: [
      {
        status: 200,
        description: "Prometheus' text format.",
        headers: ['Cache-Control'],
        schema: 'Metrics',
        mediaType: 'text/plain',
      },
    ],
    problems: ['METRICS_FORBIDDEN'],
    exchanges: [],
  },
  {
    id: 'openapi',
    method: 'get',
    path: '/openapi.json',
    tag: 'service',
    summary: 'This document',
    parameters: [],
    answers: [{ status: 200, description: 'OpenAPI 3.1.', headers: ['Cache-Control'], schema: 'Document' }],
    problems: [],
    exchanges: [],
  },
  {
    id: 'asyncapi',
    method: 'get',
    path: '/asyncapi.json',
    tag: 'service',
    summary: 'What live clients hear',
    parameters: [],
    answers: [{ status: 200, description: 'AsyncAPI 3.0.', headers: ['Cache-Control'], schema: 'Document' }],
    problems: [],
    exchanges: [],
  },
];

const condition = { enum: ['healthy', 'unhealthy'] };

export const serviceSchemas: Schemas = {
  Health: Type.Object(
    {
      status: Type.Unsafe<string>({ enum: ['ok', 'error'] }),
      timestamp: Type.String({ format: 'date-time' }),
      services: Type.Object({ redis: Type.Unsafe<string>(condition), mysql: Type.Unsafe<string>(condition) }),
      draining: Type.Optional(Type.Literal(true)),
    },
    { additionalProperties: false },
  ),
  Broadcast: broadcastSchema,
  BroadcastSent: Type.Object({ message: Type.Literal('Broadcast successful') }, { additionalProperties: false }),
  Document: Type.Object({}),
  Stats: Type.Object({}),
  Metrics: Type.String(),
  Plain: Type.String(),
};
