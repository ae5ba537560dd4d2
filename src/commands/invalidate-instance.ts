import type { Invalidation } from '../resources/key-meaning.ts';
import type { Output } from './output.ts';
import type { OperatorApi } from './running-instance.ts';

/** Of the embedded default the process that serves is told, because its cache is there. Both reject with `COMMAND_FAILED`. */
export async function invalidateInInstance(
  { subjects, prefixes, names }: Invalidation & { readonly subjects: readonly string[] },
  operators: OperatorApi,
  output: Output,
): Promise<void> {
  for (const key of subjects) await operators.ask('/invalidate', { key, tellClients: true });
  output.show({ prefixes, names, instance: operators.url, reached: true, clientsTold: true }, [
    ...prefixes.map((prefix) => `Invalidated ${prefix}*`),
    ...names.map((name) => `Invalidated ${name}`),
    'Live clients were told to read anew.',
  ]);
}

/** What would go. */
export async function showInInstance(
  { names, prefixes }: Invalidation,
  operators: OperatorApi,
  output: Output,
): Promise<void> {
  const single = await Promise.all(
    names.map(async (name) => {
      const { current, bytes } = Object(await operators.ask(`/key?${new URLSearchParams({ key: name }).toString()}`));
      return { name, isCached: current === true, bytes: Number(bytes ?? 0) };
    }),
  );
  const many = await Promise.all(
    prefixes.map(async (prefix) => {
      const query = new URLSearchParams({ match: `${prefix}*` }).toString();
      const { keys, hasMore } = Object(await operators.ask(`/keys?${query}`));
      return { prefix, names: Array.isArray(keys) ? keys.length : 0, hasMore: hasMore === true };
    }),
  );
  output.show({ dryRun: true, instance: operators.url, names: single, prefixes: many }, [
    'Would invalidate:',
    ...many.map((each) => `  ${each.prefix}*: ${each.hasMore ? 'more than ' : ''}${each.names} names`),
    ...single.map(({ name, isCached, bytes }) => `  ${name}: ${isCached ? `cached, ${bytes} bytes` : 'not cached'}`),
  ]);
}
