/** Ids of rows: BIGINT UNSIGNED other than 0, kept as decimal digits, because JavaScript's numbers end at 2^53. */

const greatestId = 18_446_744_073_709_551_615n;

/** Plain decimal digits of an id. */
export function isIdentifier(text: string): boolean {
  return /^[1-9][0-9]{0,19}$/.test(text) && BigInt(text) <= greatestId;
}

/** An id out of parsed JSON. A number that is not safe was rounded by the parser: it may be another row's id. */
export function isIdentifierValue(value: unknown): value is number | string {
  if (typeof value === 'string') return isIdentifier(value);
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

/** An id as JSON carries it: a number where a number is exact, else its digits. */
export function toNumberWhereExact(id: string): number | string {
  const number = Number(id);
  return Number.isSafeInteger(number) ? number : id;
}
