import { idOf, type Locked } from './lockfile.ts';

/** `allowScripts` of a package.json: whether npm may run the install scripts of a package. */
export type AllowScripts = Readonly<Record<string, boolean>>;

/**
 * Each package with an install script must have been looked at, and stand in the list; what stands there without having one is
 * old. npm 11.19 refuses the former by itself (`strict-allow-scripts`); earlier ones run all scripts and know no list.
 */
export function installScriptProblems(packages: readonly Locked[], allowScripts: AllowScripts): readonly string[] {
  const withScripts = packages.filter(({ hasInstallScript }) => hasInstallScript);
  const names = new Set(withScripts.map(({ name }) => name));
  return [
    ...withScripts
      .filter(({ name }) => !Object.hasOwn(allowScripts, name))
      .map(
        (each) =>
          `${idOf(each)} has an install script, and allowScripts of package.json does not say whether it may run`,
      ),
    ...Object.keys(allowScripts)
      .filter((name) => !names.has(name))
      .map((name) => `allowScripts of package.json names ${name}, which has no install script`),
  ];
}

/** What npm could not compare with a digest, or would not take from the registry. */
export function originProblems(packages: readonly Locked[]): readonly string[] {
  return packages.flatMap((each) => [
    ...(each.integrity?.startsWith('sha512-') === true ? [] : [`${idOf(each)} has no sha512 digest in the lockfile`]),
    ...(each.resolved === undefined || each.resolved.startsWith('https://registry.npmjs.org/')
      ? []
      : [`${idOf(each)} comes from ${each.resolved}, not from the registry`]),
  ]);
}
