import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where this machine takes Debian's packages from, so that another suite of the same archive can be read. */
export type ArchiveSource = {
  readonly uri: string;
  /** As it stands in the machine's file: a keyring's path, or a whole key over several lines. */
  readonly signedBy: string | undefined;
};

type Source = ArchiveSource & { readonly suites: readonly string[]; readonly components: readonly string[] };

const APT_FOLDER = '/etc/apt';

/** Sources that hold this machine's own Debian release, the likeliest to be the real archive first. */
export async function debianArchives(): Promise<ArchiveSource[]> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(release)?.[1];
  if (!/^ID="?debian"?$/m.test(release)) return [];
  const names = new Set([codename, 'oldstable', 'stable', 'testing', 'sid', 'unstable']);
  const sources = (await readSources()).filter(
    (source) => source.components.includes('main') && source.suites.some((suite) => names.has(suite)),
  );
  return sources.sort((a, b) => likelihood(b) - likelihood(a));
}

/** Other vendors name their suites after Debian's too: the archive's keyring and path tell them apart. */
function likelihood(source: Source): number {
  const byKeyring = source.signedBy?.includes('debian-archive') === true ? 2 : 0;
  const byPath = /\/debian\/?$/.test(source.uri) ? 1 : 0;
  return byKeyring + byPath;
}

async function readSources(): Promise<Source[]> {
  const parts = join(APT_FOLDER, 'sources.list.d');
  const names = await readdir(parts).catch(() => []);
  const files = [join(APT_FOLDER, 'sources.list'), ...names.sort().map((name) => join(parts, name))];
  const sources: Source[] = [];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (file.endsWith('.sources')) sources.push(...parseStanzas(text));
    else if (file.endsWith('.list')) sources.push(...parseLines(text));
  }
  return sources;
}

/** deb822 format, sources.list(5): stanzas of `Field: value`, where an indented line continues the value. */
export function parseStanzas(text: string): Source[] {
  const sources: Source[] = [];
  const withoutComments = text.replace(/^#.*\n?/gm, '');
  for (const stanza of withoutComments.split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    for (const match of stanza.matchAll(/^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)/gm)) {
      fields.set((match[1] ?? '').toLowerCase(), (match[2] ?? '').trimEnd());
    }
    const [uri] = words(fields.get('uris'));
    const enabled = !/^(no|false|0)$/i.test(fields.get('enabled') ?? 'yes');
    if (uri === undefined || !enabled || !words(fields.get('types')).includes('deb')) continue;
    sources.push({
      uri,
      signedBy: fields.get('signed-by'),
      suites: words(fields.get('suites')),
      components: words(fields.get('components')),
    });
  }
  return sources;
}

/** One-line format: `deb [signed-by=/keyring arch=amd64] uri suite component...`. */
export function parseLines(text: string): Source[] {
  const sources: Source[] = [];
  for (const match of text.matchAll(/^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)([^#\n]*)/gm)) {
    const [, options = '', uri = '', suite = '', components = ''] = match;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1];
    sources.push({ uri, signedBy, suites: [suite], components: words(components) });
  }
  return sources;
}

function words(value: string | undefined): string[] {
  return (value ?? '').split(/\s+/).filter((word) => word !== '');
}
