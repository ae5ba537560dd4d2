import { readFileSync } from 'node:fs';

/** The version in the manifest, which stands above `src/` and `dist/` alike. */
export function ownVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return String(Object(manifest).version);
}
