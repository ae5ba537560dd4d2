import { _, Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import { CatalogueError, type FieldProblem } from '../errors.ts';
import { isIdentifierValue } from '../resources/identifier.ts';

/**
 * Bodies against JSON Schema. All errors are collected, so that a client learns of every field at once; nothing is
 * coerced or filled in. Beyond the standard the schemas may say:
 *
 * - `maxBytes`: the most bytes of a string in UTF-8, as TEXT columns count
 * - `notBlank`: a string has a character that is not white space
 * - `wellFormed`: a string has no half of a surrogate pair, which UTF-8 cannot hold
 * - `identifier`: the id of a row, a positive integer or its digits
 */
const ajv = new Ajv({ allErrors: true, strict: true, strictRequired: false, allowUnionTypes: true });
ajv.addKeyword({
  keyword: 'maxBytes',
  type: 'string',
  schemaType: 'number',
  errors: false,
  error: { message: 'is too long', params: ({ schemaCode }) => _`{limit: ${schemaCode}}` },
  validate: (most: number, value: string) => Buffer.byteLength(value) <= most,
});
ajv.addKeyword({
  keyword: 'notBlank',
  type: 'string',
  schemaType: 'boolean',
  validate: (_on: true, value: string) => value.trim() !== '',
});
ajv.addKeyword({
  keyword: 'wellFormed',
  type: 'string',
  schemaType: 'boolean',
  validate: (_on: true, value: string) => value.isWellFormed(),
});
ajv.addKeyword({
  keyword: 'identifier',
  schemaType: 'boolean',
  validate: (_on: true, value: unknown) => isIdentifierValue(value),
});

export function compileSchema(schema: object): ValidateFunction {
  return ajv.compile(schema);
}

/** For fastify's `schemaErrorFormatter`. */
export function toValidationError(errors: readonly FastifySchemaValidationError[]): CatalogueError {
  const fields = new Map<string, FieldProblem>();
  for (const error of errors) {
    const problem = describe(error);
    if (!fields.has(problem.field)) fields.set(problem.field, problem);
  }
  // The branches of "at least one of" complain too; the one sentence about them all is enough.
  const atLeastOne = errors.find(({ keyword }) => keyword === 'anyOf');
  const problems = atLeastOne === undefined ? [...fields.values()] : [describe(atLeastOne)];
  const reason = problems.map(({ message }) => message).join('; ');
  return new CatalogueError('VALIDATION_FAILED', { params: { reason }, fields: problems });
}

type SchemaError = Pick<ErrorObject, 'keyword' | 'instancePath' | 'params' | 'message'>;

function describe({ keyword, instancePath, params, message }: SchemaError): FieldProblem {
  const field = keyword === 'required' ? String(params['missingProperty']) : instancePath.slice(1);
  if (keyword === 'anyOf') return { field: '', message: 'at least one field to change is required' };
  if (field === '') return { field, message: 'the body must be a JSON object' };
  return { field, message: `${field} ${complaint(keyword, params) ?? message ?? 'is invalid'}` };
}

function complaint(keyword: string, params: SchemaError['params']): string | undefined {
  switch (keyword) {
    case 'required':
      return 'is required';
    case 'type':
      return `must be ${String(params['type']).split(',').map(withArticle).join(' or ')}`;
    case 'maxLength':
      return `must be at most ${String(params['limit'])} characters long`;
    case 'maxBytes':
      return `must be at most ${String(params['limit'])} bytes long in UTF-8`;
    case 'notBlank':
      return 'must not be blank';
    case 'wellFormed':
      return 'must be well-formed Unicode (it has half of a surrogate pair)';
    case 'identifier':
      return 'must be the id of a row: a positive integer (beyond 2^53 as a string of digits)';
    default:
      return undefined;
  }
}

function withArticle(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}
