import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeBom } from './packages/bom.ts';

/** `npm run sbom`: the packages that are handed on, as CycloneDX, in `dist/sbom.cdx.json`. */
const root = join(import.meta.dirname, '..');
const bom = makeBom(root);
const file = join('dist', 'sbom.cdx.json');
mkdirSync(join(root, 'dist'), { recursive: true });
writeFileSync(join(root, file), `${JSON.stringify(bom, null, 2)}\n`);
console.log(`${file}: ${bom.components.length} packages, CycloneDX ${bom.specVersion}`);
