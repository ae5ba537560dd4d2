import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { describeError } from '../errors.ts';
import { isIdentifier } from '../resources/identifier.ts';
import { meaningOfKey } from '../resources/key-meaning.ts';
import type { Resource } from '../resources/resource.ts';
import { usageError } from './verb.ts';

/** What is to be warmed, in parts that can be gone on with. */
export interface WarmPlan {
  readonly lists: boolean;
  /** Of each resource, so many rows; 0 for none. */
  readonly newest: number;
  /** File of ids, keys or URLs. */
  readonly ids: string | undefined;
}

/** How far a run has got: what is before it was asked for. */
export interface Position {
  readonly stage: string;
  /** Of the paths of the stage. */
  readonly done: number;
  /** Of the page that comes next; only while rows are found by pages. */
  readonly after?: string;
}

export interface Batch {
  readonly paths: readonly string[];
  /** Where to go on once these were asked for. */
  readonly next: Position;
}

/** Reads a page of a list: the ids of its rows, and the cursor of the next one. */
export type ReadPage = (
  path: string,
) => Promise<{ readonly ids: readonly string[]; readonly after: string | undefined }>;

const batchSize = 100;

/** The names of the stages, in order, with how many paths each has at most. */
export async function stagesOf(
  { lists, newest, ids }: WarmPlan,
  resources: readonly Resource[],
): Promise<readonly Stage[]> {
  const stages: Stage[] = [];
  if (lists) {
    const paths = resources.flatMap(({ path }) => [path, `${path}?limit=20`]);
    stages.push({ name: 'lists', most: paths.length, batches: (from) => inBatches('lists', paths, from.done) });
  }
  for (const resource of newest > 0 ? resources : []) {
    const name = `newest ${resource.name}`;
    stages.push({
      name,
      most: newest,
      batches: (from, readPage) => newestRows(name, resource, newest, from, readPage),
    });
  }
  if (ids !== undefined) {
    const paths = await pathsIn(ids, resources);
    stages.push({ name: 'ids', most: paths.length, batches: (from) => inBatches('ids', paths, from.done) });
  }
  return stages;
}

export interface Stage {
  readonly name: string;
  readonly most: number;
  readonly batches: (from: Position, readPage: ReadPage) => AsyncGenerator<Batch>;
}

async function* inBatches(stage: string, paths: readonly string[], from: number): AsyncGenerator<Batch> {
  for (let done = from; done < paths.length; done += batchSize) {
    const some = paths.slice(done, done + batchSize);
    yield { paths: some, next: { stage, done: done + some.length } };
  }
}

async function* newestRows(
  stage: string,
  { path }: Resource,
  most: number,
  from: Position,
  readPage: ReadPage,
): AsyncGenerator<Batch> {
  let { done, after } = from;
  while (done < most) {
    const limit = Math.min(batchSize, most - done);
    const page = await readPage(`${path}?limit=${limit}${after === undefined ? '' : `&after=${after}`}`);
    done += page.ids.length;
    ({ after } = page);
    yield {
      paths: page.ids.map((id) => `${path}/${id}`),
      next: { stage, done, ...(after === undefined ? {} : { after }) },
    };
    if (after === undefined) return;
  }
}

/** So many different paths are counted. */
const mostPaths = 1_000_000;

/**
 * The paths that a file names, those that are there most often first: a list of ids or keys, or an access log, whose lines
 * have a path somewhere. Throws `CatalogueError` `USAGE` when it cannot be read, or names none.
 */
async function pathsIn(file: string, resources: readonly Resource[]): Promise<readonly string[]> {
  const counts = new Map<string, number>();
  try {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      const path = pathIn(line.trim(), resources);
      if (path !== undefined && (counts.has(path) || counts.size < mostPaths))
        counts.set(path, (counts.get(path) ?? 0) + 1);
    }
  } catch (error) {
    throw usageError(`--ids must name a file that can be read: ${describeError(error)}`);
  }
  if (counts.size === 0)
    throw usageError(`${file} names no id, key or URL of ${resources.map(({ path }) => path).join(', ')}`);
  return [...counts].toSorted(([, one], [, other]) => other - one).map(([path]) => path);
}

function pathIn(line: string, resources: readonly Resource[]): string | undefined {
  const [first, second] = resources;
  // A bare id says nothing where there are several resources.
  if (first !== undefined && second === undefined && isIdentifier(line)) return `${first.path}/${line}`;
  const meaning = meaningOfKey(line, resources);
  if (meaning?.kind === 'row') return `${meaning.resource.path}/${meaning.id}`;
  if (meaning?.kind === 'list') return meaning.resource.path;
  for (const { path } of resources) {
    const found = new RegExp(`(?:^|[\\s"'(]|//[^/\\s]+)(${path}(?:/\\d+)?/?(?:\\?[^\\s"']*)?)(?=[\\s"')]|$)`).exec(
      line,
    )?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}
