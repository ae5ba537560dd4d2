import parse, { type Expression } from 'spdx-expression-parse';
import { idOf, type Locked } from './lockfile.ts';

/** Licences that ask for no more than that they are named, for whatever leaves this repository. */
const shippedLicences = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', 'ISC', 'MIT'];
/** Also for programs and data that are used to build and to test, and are not handed on. */
const toolLicences = [...shippedLicences, 'CC-BY-3.0', 'CC-BY-4.0', 'CC0-1.0', 'MPL-2.0', 'Python-2.0'];

/** Packages whose lockfile entry does not say it, and what the package itself says. */
const stated: Readonly<Record<string, string>> = {
  // An older form of the field, which npm does not take over.
  'xmlhttprequest-ssl': 'MIT',
};

export function licenceOf({ name, licence }: Pick<Locked, 'name' | 'licence'>): string | undefined {
  return licence ?? stated[name];
}

/** What is not allowed of these packages, of which some are handed on. */
export function licenceProblems(packages: readonly Locked[], shipped: readonly Locked[]): readonly string[] {
  const handedOn = new Set(shipped);
  return packages.flatMap((each) => {
    const expression = licenceOf(each);
    if (expression === undefined) return [`${idOf(each)} names no licence`];
    const isShipped = handedOn.has(each);
    if (allows(expression, isShipped ? shippedLicences : toolLicences)) return [];
    return [
      `${idOf(each)} has the licence ${expression}, which is not on the list of what is ${isShipped ? 'handed on' : 'used'}`,
    ];
  });
}

/** Whether one may choose so among the licences of an SPDX expression that only `allowed` ones are needed. */
export function allows(expression: string, allowed: readonly string[]): boolean {
  try {
    return isAllowed(parse(expression), allowed);
  } catch {
    // No expression of SPDX, such as "SEE LICENSE IN ...".
    return false;
  }
}

function isAllowed(node: Expression, allowed: readonly string[]): boolean {
  if ('conjunction' in node) {
    const sides = [node.left, node.right];
    const isFine = (side: Expression): boolean => isAllowed(side, allowed);
    return node.conjunction === 'or' ? sides.some(isFine) : sides.every(isFine);
  }
  return node.exception === undefined && node.plus !== true && allowed.includes(node.license);
}

/** How many packages have which licence, the commonest first. */
export function countLicences(
  packages: readonly Locked[],
): readonly (readonly [licence: string, names: readonly string[]])[] {
  const groups = new Map<string, string[]>();
  for (const each of packages) {
    const licence = licenceOf(each) ?? 'none';
    groups.set(licence, [...(groups.get(licence) ?? []), idOf(each)]);
  }
  return [...groups].toSorted(([, one], [, other]) => other.length - one.length);
}
