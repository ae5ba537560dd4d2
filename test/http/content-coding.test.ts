import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { codingKnown, preconditionOf } from '../../src/http/conditional.ts';
import { Acceptances, codingOf, tagIn } from '../../src/http/content-coding.ts';

const both = new Acceptances(['br', 'gzip']);

describe('Accept-Encoding', () => {
  test.each([
    ['gzip', 'gzip'],
    ['gzip, deflate', 'gzip'],
    ['gzip, deflate, br, zstd', 'br'],
    ['br;q=0.5, gzip', 'gzip'],
    ['gzip;q=0.5, br;q=0.5', 'br'],
    ['GZip', 'gzip'],
    [' gzip ; q=0.2 ', 'gzip'],
    ['*', 'br'],
    ['br;q=0, *', 'gzip'],
    ['gzip;q=0, *;q=0.1, br;q=0', 'identity'],
    ['identity', 'identity'],
    ['identity, gzip;q=0.5', 'identity'],
    ['identity;q=0.5, gzip;q=0.4', 'identity'],
    ['identity;q=0.4, gzip;q=0.5', 'gzip'],
    ['gzip;q=0', 'identity'],
    ['deflate', 'identity'],
    ['', 'identity'],
    // Refuses all that there is: it is not looked at.
    ['identity;q=0', 'identity'],
    ['*;q=0', 'identity'],
    ['identity;q=0, gzip', 'gzip'],
    // No list of codings.
    ['gzip;q=much', 'identity'],
    [';;;,=', 'identity'],
    [',,gzip,,', 'gzip'],
    ['gzip br', 'identity'],
  ])('%j is answered best in %s', (header, best) => {
    expect(both.of(header).best).toBe(best);
    // And the same again, when it is known.
    expect(both.of(header).best).toBe(best);
  });

  test('a client that says nothing is sent no coding, though it refuses none', () => {
    const { best, accepts } = both.of(undefined);
    expect([best, [...accepts].toSorted()]).toEqual(['identity', ['br', 'gzip', 'identity']]);
  });

  test('what is not offered is not chosen, and is accepted all the same', () => {
    const gzip = new Acceptances(['gzip']).of('br, gzip;q=0.5');
    expect([gzip.best, gzip.accepts.has('br')]).toEqual(['gzip', true]);
    expect(new Acceptances([]).of('br').best).toBe('identity');
    expect(new Acceptances(['gzip', 'br']).of('br, gzip').best).toBe('gzip');
  });

  test('many different headers are each read right, and again', () => {
    const acceptances = new Acceptances(['br', 'gzip']);
    for (let round = 0; round < 2; round += 1) {
      for (let number = 0; number < 1_200; number += 1) {
        const coding = number % 2 === 0 ? 'br' : 'gzip';
        expect(acceptances.of(`x-${number}, ${coding}`).best).toBe(coding);
      }
    }
    expect(acceptances.of(`${'x'.repeat(1_000)}, br`).best).toBe('br');
  });

  test('any text at all is understood as something, be it known or not', () => {
    const element = fc.oneof(fc.constantFrom('gzip', 'br', '*', 'identity', 'q=0', ';', ',', 'q=1.5'), fc.string());
    fc.assert(
      fc.property(fc.array(element, { maxLength: 60 }), (elements) => {
        const { best, accepts } = both.of(elements.join(''));
        return best === 'identity' || accepts.has(best);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('entity tags of codings', () => {
  const etag = '"AAAAAAAAAAAAAAAAAAA-br"';
  const every = both.of(undefined);

  test('each coding has its own, also where the tag ends like one of them', () => {
    const tags = (['identity', 'br', 'gzip'] as const).map((coding) => tagIn(coding, etag));
    expect(tags).toEqual([etag, '"AAAAAAAAAAAAAAAAAAA-br-br"', '"AAAAAAAAAAAAAAAAAAA-br-gzip"']);
    expect(tags.map((tag) => codingOf(tag, etag))).toEqual(['identity', 'br', 'gzip']);
    expect(codingOf('"AAAAAAAAAAAAAAAAAAA"', etag)).toBeUndefined();
  });

  test('If-None-Match knows a version in each of them, the first that the client accepts', () => {
    expect(codingKnown('"a", "x-gzip"', '"x"', every)).toBe('gzip');
    expect(codingKnown('W/"x-br", "x"', '"x"', every)).toBe('br');
    expect(codingKnown('"x-br", "x-gzip"', '"x"', both.of('gzip'))).toBe('gzip');
    expect(codingKnown('"x-br", "x"', '"x"', both.of('gzip'))).toBe('identity');
    expect(codingKnown('"x-br"', '"x"', both.of('gzip'))).toBeUndefined();
    expect(codingKnown('"x-zstd"', '"x"', every)).toBeUndefined();
    expect(codingKnown('*', '"x"', every)).toBe('identity');
  });

  test('If-Match takes the tag of each of them, not a weak one', () => {
    for (const tag of ['"x"', '"x-br"', '"x-gzip"']) expect([tag, preconditionOf(tag)('"x"')]).toEqual([tag, true]);
    for (const tag of ['W/"x-br"', '"x-zstd"', '"x-br-br"']) {
      expect([tag, preconditionOf(tag)('"x"')]).toEqual([tag, false]);
    }
  });
});
