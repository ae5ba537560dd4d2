import type { Resource } from '../../resources/resource.ts';

/** A row of a resource, as answers show it: the one that the examples of the document are about. */
export function exampleRow({ columns, embed, examples }: Resource): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const [name, column] of Object.entries(columns)) row[name] = column.example;
  if (embed !== undefined) {
    const shown = Object.entries(embed.columns).map(([name, column]) => [name, column.example]);
    row[embed.as] = Object.fromEntries(shown);
  }
  return { ...row, ...examples };
}
