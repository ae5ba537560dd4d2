/**
 * Generated parts of a document stand between two comments that name them, `<!-- name -->` and `<!-- /name -->`;
 * everything around them is written by hand.
 */

/** Replaces what stands between the marks of `name`. Throws when the marks are not there, once and in order. */
export function replaceSection(document: string, name: string, body: string): string {
  const [before, rest, ...more] = document.split(`<!-- ${name} -->`);
  const [, after, ...moreAfter] = (rest ?? '').split(`<!-- /${name} -->`);
  if (before === undefined || after === undefined || more.length + moreAfter.length > 0) {
    throw new Error(`the marks <!-- ${name} --> and <!-- /${name} --> must be there once, in this order`);
  }
  return `${before}<!-- ${name} -->\n${body.trim()}\n<!-- /${name} -->${after}`;
}

/** A table of Markdown. Bars inside cells are escaped. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

export function code(text: string): string {
  return `\`${text}\``;
}
