import type { TSchema } from 'typebox';
import type { CatalogueError, ErrorCode } from '../../errors.ts';

/**
 * One thing that a client can ask over HTTP: https://spec.openapis.org/oas/v3.1.1.html#operation-object
 *
 * The document is made from these, and so are the requests by which a test tries every example that it shows.
 */
export interface Operation {
  readonly id: string;
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** With parameters in braces. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters: readonly Parameter[];
  /** The secret of `x-internal-secret` is needed. */
  readonly needsSecret?: boolean;
  /** The token of a user is needed. */
  readonly needsToken?: boolean;
  /** The name of a schema. */
  readonly body?: { readonly schema: string; readonly required: boolean };
  readonly answers: readonly Answer[];
  /** What goes wrong here in particular; `general` holds for all. */
  readonly problems: readonly ErrorCode[];
  readonly exchanges: readonly Exchange[];
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly description: string;
  readonly schema: object;
}

/** An answer that is no problem. */
export interface Answer {
  readonly status: number;
  readonly description: string;
  readonly headers: readonly (keyof typeof answerHeaders)[];
  /** The name of a schema; without one there is no body. */
  readonly schema?: string;
  /** `application/json` if nothing else is said. */
  readonly mediaType?: string;
}

/** A request and what is answered. Rows are as the examples of the resources have them. */
export interface Exchange {
  /** Ties what is asked to what is answered: the key of the examples on both sides. */
  readonly name: string;
  readonly parameters?: Readonly<Record<string, string | number>>;
  /** Without the secret, where one is needed. */
  readonly isForbidden?: boolean;
  readonly body?: unknown;
  readonly answer:
    | { readonly status: number; readonly body?: unknown }
    /** The problem that is answered. */
    | CatalogueError;
}

export const answerHeaders = {
  ETag: 'The strong entity tag of `data` (RFC 9110). It stays the same as long as the data does.',
  'Cache-Status': 'What the cache did (RFC 9211): `hit; ttl=…`, `fwd=uri-miss; stored`, `fwd=bypass; detail=…`.',
  'Cache-Control': '`no-cache`: keep the answer, and ask each time whether it still holds.',
  Link: 'The next page: `<…>; rel="next"` (RFC 8288). Missing on the last one.',
  Location: 'The path of the new row.',
  'Idempotent-Replayed': '`true` when the answer is that of an earlier request with the same `Idempotency-Key`.',
} as const;

/** Schemas by the names under which they stand in the document. */
export type Schemas = Readonly<Record<string, TSchema | object>>;
