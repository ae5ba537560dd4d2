/** What a statement in the binary log means for the tables that are followed. */

/** Of the transaction, or of things that hold no rows. */
const harmless =
  /^(begin|commit|rollback|savepoint|release\s+savepoint|start\s+transaction|xa\s|set\s|use\s|analyze|optimize|check|grant|revoke|flush|(create|alter|drop)\s+(or\s+replace\s+)?(definer\s*=\s*\S+\s+)?(user|role|trigger|procedure|function|event|view|server|sequence|resource)\b)/i;
const dropsDatabase = /^drop\s+(database|schema)\b/i;
/** Not those that a server executes. */
const leadingComments = /^(\s+|\/\*(?!M?!).*?\*\/|--[^\n]*\n|#[^\n]*\n)+/s;

/**
 * The tables of `tables`, all of the database `own`, whose rows a statement may have changed. It was run with `current` as
 * its database. Nothing is parsed: a statement that so much as names a table is taken to have changed it.
 */
export function tablesTouched(
  statement: string,
  current: string,
  own: string,
  tables: ReadonlySet<string>,
): readonly string[] {
  const text = statement.replace(leadingComments, '');
  if (harmless.test(text)) return [];
  const words = new Set(text.toLowerCase().match(/[\p{L}\p{N}_$-]+/gu));
  const isOwn = current.toLowerCase() === own.toLowerCase() || words.has(own.toLowerCase());
  if (!isOwn) return [];
  if (dropsDatabase.test(text) && words.has(own.toLowerCase())) return [...tables];
  return [...tables].filter((table) => words.has(table.toLowerCase()));
}

export function isXa(statement: string, step: 'start' | 'commit'): boolean {
  return new RegExp(`^\\s*xa\\s+${step}\\b`, 'i').test(statement);
}
