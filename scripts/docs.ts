import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generatedFiles, regenerate, root } from './docs/generated.ts';

/** `npm run docs`: brings the generated parts of the documents up to date with the code. */
for (const file of generatedFiles) {
  const { current, wanted } = regenerate(file);
  if (current !== wanted) writeFileSync(join(root, file), wanted);
  console.log(`${file}: ${current === wanted ? 'up to date' : 'regenerated'}`);
}
