import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AllowScripts, installScriptProblems, originProblems } from './packages/install-scripts.ts';
import { countLicences, licenceProblems } from './packages/licences.ts';
import { readLockfile } from './packages/lockfile.ts';
import { shippedOf } from './packages/shipped.ts';

/** `npm run check:packages`: origin, install scripts and licences of all packages in the lockfiles. */
const root = join(import.meta.dirname, '..');
const manifest: { readonly allowScripts?: AllowScripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const { allowScripts = {} } = manifest;

const packages = readLockfile(join(root, 'package-lock.json'));
const shipped = shippedOf(packages, root);
// Only benchmarks install these, without their scripts.
const peers = readLockfile(join(root, 'bench/peers/package-lock.json'));
const problems = [
  ...installScriptProblems(packages, allowScripts),
  ...installScriptProblems(peers, {}),
  ...originProblems([...packages, ...peers]),
  ...licenceProblems(packages, shipped),
  ...licenceProblems(peers, []),
];

for (const [title, some] of [
  ['handed on', shipped],
  ['for building and testing', packages.filter((each) => !shipped.includes(each))],
  ['to compare with (bench/peers)', peers],
] as const) {
  console.log(`${some.length} packages, ${title}`);
  for (const [licence, names] of countLicences(some)) {
    const few = names.length > mostNamed() ? '' : `  ${names.join(', ')}`;
    console.log(`${String(names.length).padStart(6)}  ${licence}${few}`);
  }
}
const may = Object.entries(allowScripts).map(([name, isAllowed]) => `${name} ${isAllowed ? 'yes' : 'no'}`);
console.log(`install scripts: ${may.join(', ')}`);

function mostNamed(): number {
  return process.argv.includes('--all') ? Number.POSITIVE_INFINITY : 3;
}

if (problems.length > 0) {
  console.error(`\n${problems.join('\n')}`);
  process.exit(1);
}
