import { styleText } from 'node:util';
import type { Finding } from '../doctor/finding.ts';
import type { Output } from './output.ts';
import type { ExitName } from './verb.ts';

const marks = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' } as const;
const colours = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

/** Shows what was found, and resolves how the verb ends. */
export function showFindings(findings: readonly Finding[], output: Output): ExitName {
  const count = (severity: Finding['severity']): number => findings.filter((each) => each.severity === severity).length;
  const counts = { ok: count('ok'), warn: count('warn'), fail: count('fail') };
  const lines = findings.flatMap((finding) => linesOf(finding, output.isTerminal));
  const sum = `${counts.ok} in order, ${counts.warn} to look at, ${counts.fail} that must be mended`;
  output.show({ ...counts, findings }, [...lines, '', sum]);
  return counts.fail > 0 ? 'found' : 'done';
}

function linesOf({ id, severity, finding, meaning, remedy }: Finding, coloured: boolean): string[] {
  const mark = coloured ? styleText(colours[severity], marks[severity]) : marks[severity];
  const indent = ' '.repeat(marks.ok.length + 1);
  return [
    `${mark} ${id}: ${finding}`,
    ...(meaning === '' ? [] : [`${indent}${meaning}`]),
    ...(remedy === '' ? [] : [`${indent}mend it with: ${remedy}`]),
  ];
}
