/** The references of a JSON document to its own parts: how many there are, and those that lead nowhere. */
export function referencesIn(document: object): { readonly count: number; readonly dangling: readonly string[] } {
  const paths = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path ?? '');
  const isThere = (path: string): boolean =>
    typeof path.split('/').reduce((at: unknown, name) => Object(at)[name], document) === 'object';
  return { count: paths.length, dangling: paths.filter((path) => !isThere(path)) };
}
