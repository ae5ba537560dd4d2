import { describe, expect, test } from '@jest/globals';
import { flagsOf, runCommandLine, wantsJson } from '../../src/commands/command-line.ts';
import { isSet, numberOf, textOf, type Given, type Verb } from '../../src/commands/verb.ts';
import { verbs } from '../../src/commands/verbs.ts';
import { runVerb } from '../harness/service-process.ts';

/** How the command line is read, and what it says to one that is wrong. */

function listening(name: string, more: Partial<Verb> = {}): { verb: Verb; heard: Given[] } {
  const heard: Given[] = [];
  const run: Verb['run'] = async (given) => {
    heard.push(given);
    return 'found';
  };
  return { verb: { name, summary: `do ${name}`, run, ...more }, heard };
}

describe('what a verb is given', () => {
  test('its argument and its flags, those of two words included', async () => {
    const flags = [
      { name: 'posts', value: 'N', description: 'posts' },
      { name: 'dry-run', description: 'only look' },
    ];
    const argument = { name: 'key', description: 'a key', isRequired: true };
    const { verb, heard } = listening('cache drop', { flags, argument });
    expect(await runCommandLine(['cache', 'drop', 'post:1', '--posts', '5', '--dry-run', '--json'], [verb])).toBe(
      'found',
    );
    const [given] = heard;
    if (given === undefined) throw new Error('the verb was not run');
    expect(given.argument).toBe('post:1');
    expect([textOf(given, 'posts'), isSet(given, 'dry-run'), given.output.isJson]).toEqual(['5', true, true]);
    expect(numberOf(given, 'posts', { standard: 1, least: 1, most: 5 })).toBe(5);
    expect(() => numberOf(given, 'posts', { least: 1, most: 4 })).toThrow('--posts must be a whole number from 1 to 4');
    expect(numberOf(given, 'dry-run', { least: 1, most: 4 })).toBeUndefined();
  });

  test('without a verb it is serve, flags of serve included', async () => {
    const { verb, heard } = listening('serve', { flags: [{ name: 'workers', value: 'N', description: 'processes' }] });
    await runCommandLine([], [verb]);
    await runCommandLine(['--workers', '3'], [verb]);
    expect(heard.map((given) => textOf(given, 'workers'))).toEqual([undefined, '3']);
  });

  test('a verb that fails is heard of', async () => {
    const { verb } = listening('serve', { run: () => Promise.reject(new Error('no more')) });
    await expect(runCommandLine(['serve'], [verb])).rejects.toThrow('no more');
  });

  test('a verb without an outcome is done', async () => {
    const { verb } = listening('serve', { run: async () => undefined });
    expect(await runCommandLine([], [verb])).toBe('done');
  });
});

describe('a command line that is wrong', () => {
  const { verb: one } = listening('serve', { flags: [{ name: 'workers', value: 'N', description: 'processes' }] });
  const { verb: two } = listening('config print');
  const { verb: three } = listening('config check', {
    argument: { name: 'key', description: 'a key', isRequired: true },
  });

  test.each([
    ['a verb', ['serv'], "Unknown command 'serv' (did you mean serve?)"],
    ['a verb that is like none', ['quit'], "Unknown command 'quit'"],
    ['half a verb', ['config'], '"config" is not enough: config print or config check'],
    ['the second word', ['config', 'prin'], "Unknown command 'prin' (did you mean print?)"],
    ['a flag', ['serve', '--worker', '1'], "Unknown option '--worker' (did you mean --workers?)"],
    ['a flag of another verb', ['config', 'print', '--workers', '1'], "Unknown option '--workers'"],
    ['a flag without its value', ['--workers'], "Option '--workers <N>' argument missing"],
    ['an argument too many', ['serve', 'now'], "Too many arguments for 'serve'. Expected 0 arguments but got 1: now."],
    ['an argument that is missing', ['config', 'check'], "Missing required argument 'key'"],
  ])('%s', async (_, args, message) => {
    await expect(runCommandLine(args, [one, two, three])).rejects.toMatchObject({ code: 'USAGE', message });
  });

  test('the program says it in one sentence and ends with 2', async () => {
    const { code, lines, errors } = await runVerb(['serv']);
    expect(errors).toBe("Unknown command 'serv' (did you mean serve?) (energex-cache --help shows the usage)\n");
    expect([code, lines]).toEqual([2, []]);
  });

  test('with --json as a document too', async () => {
    const { code, lines } = await runVerb(['seed', '--posts', '0', '--json']);
    expect(code).toBe(2);
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
      { error: { code: 'USAGE', message: '--posts must be a whole number from 1 to 99999999' } },
    ]);
    expect(wantsJson(['seed'])).toBe(false);
  });
});

describe('the verbs of the program', () => {
  test('each begins its help with what it does, ends it with its exit codes, and has a place in the whole', async () => {
    const { code, lines, errors } = await runVerb(['--help']);
    expect([code, errors]).toEqual([0, '']);
    for (const { name } of verbs) expect(lines.join('\n')).toContain(`\n  ${name.split(' ')[0] ?? ''} `);
    const own = await runVerb(['config', 'check', '--help']);
    expect([own.code, own.lines[0]]).toEqual([0, 'Usage: energex-cache config check [options]']);
    expect(own.lines).toContain('Exit codes: 0, 1, 2, 3');
  });

  test('no name of a verb or of a flag is there twice', () => {
    const names = verbs.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const verb of verbs) {
      const flags = flagsOf(verb).map(({ name }) => name);
      expect(new Set(flags).size).toBe(flags.length);
    }
  });
});
