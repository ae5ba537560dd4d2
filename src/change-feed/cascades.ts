import type { Database } from '../database/database.ts';

/**
 * What foreign keys do to the rows of other tables. Where the server does not write it to its log, a change of the parent
 * counts as an unknown change of the children.
 */
export interface Cascades {
  /** The tables whose rows a delete, or a new key, of a row of `table` may delete or change, at any depth. */
  childrenOf(table: string): ReadonlySet<string>;
  /** The tables on whose changes `table` depends so. */
  parentsOf(table: string): readonly string[];
}

/** `logged`: the server tells of what its foreign keys do, row by row. */
export async function readCascades(database: Database, logged: boolean): Promise<Cascades> {
  if (logged) return cascadesOf([]);
  const rows = await database.query(
    `SELECT referenced_table_name, table_name FROM information_schema.referential_constraints
      WHERE constraint_schema = DATABASE() AND unique_constraint_schema = DATABASE()
        AND (delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))`,
  );
  return cascadesOf(rows.map(([parent, child]) => [String(parent), String(child)]));
}

function cascadesOf(edges: readonly (readonly [parent: string, child: string])[]): Cascades {
  const reach = (from: string, next: (table: string) => readonly string[]): ReadonlySet<string> => {
    const reached = new Set<string>();
    const waiting = [...next(from)];
    for (let table = waiting.pop(); table !== undefined; table = waiting.pop()) {
      if (reached.has(table)) continue;
      reached.add(table);
      waiting.push(...next(table));
    }
    return reached;
  };
  const children = (table: string): string[] => edges.flatMap(([parent, child]) => (parent === table ? [child] : []));
  const parents = (table: string): string[] => edges.flatMap(([parent, child]) => (child === table ? [parent] : []));
  return {
    childrenOf: (table) => reach(table, children),
    parentsOf: (table) => [...reach(table, parents)],
  };
}
