import { expect, test } from '@jest/globals';
import { filesBelow, textOf } from '../docs/documents.ts';

const imports = (file: string): string[] =>
  Array.from(textOf(file).matchAll(/^(?:import|export)\b(?! type)[^;]*?from '([^']+)';/gm), ([, name = '']) => name);

test('OpenTelemetry is loaded by what is loaded only when an exporter is configured', () => {
  const folder = 'src/operations/tracing';
  const users = filesBelow('src', '.ts').filter((file) =>
    imports(file).some((name) => name.startsWith('@opentelemetry/')),
  );
  expect(users.toSorted()).toEqual([`${folder}/exporter.ts`, `${folder}/http.ts`, `${folder}/spans.ts`]);
  const importers = filesBelow('src', '.ts').filter((file) =>
    imports(file).some((name) => /(^|\/)(exporter|spans|http)\.ts$/.test(name)),
  );
  expect(importers).toEqual([`${folder}/http.ts`]);
  expect(textOf(`${folder}/tracing.ts`)).toContain("import('./exporter.ts')");
});
