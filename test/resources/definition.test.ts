import { describe, expect, test } from '@jest/globals';
import type { Row } from '../../src/database/database.ts';
import { createdAt, identifier, reference, text, updatedAt } from '../../src/resources/columns.ts';
import { isIdentifier, isIdentifierValue, toNumberWhereExact } from '../../src/resources/identifier.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { resources } from '../../src/resources/registry.ts';
import { type Definition, defineResource, writableColumns } from '../../src/resources/resource.ts';
import { buildStatements } from '../../src/resources/statements.ts';

const notes: Definition = {
  name: 'notes',
  item: 'note',
  table: 'notes',
  columns: { id: identifier(), title: text({}), created_at: createdAt() },
  events: { created: 'note_new', updated: 'note_updated', deleted: 'note_deleted' },
  ttl: { list: 1_000, item: 2_000, absent: 500 },
};
const user = { as: 'user', table: 'users', through: 'user_id', columns: { id: identifier(), name: text({}) } };
const column = { ...notes.columns, user_id: reference() };

describe('defining a resource', () => {
  test('derives path, label and keys from the names', () => {
    const resource = defineResource(notes);
    expect(resource).toMatchObject({ ...notes, path: '/cache/notes', label: 'Note', listKey: 'notes:all' });
    expect(resource.itemKey('7')).toBe('note:7');
    expect(resource.pageKey(20, undefined)).toBe('notes:all#limit=20');
    expect(resource.pageKey(20, 'abc')).toBe('notes:all#limit=20&after=abc');
    expect(resource.keysAffectedBy('7')).toEqual(['note:7', 'notes:rows:0', 'notes:all']);
  });

  test.each<[string, Partial<Definition>, string]>([
    ['a name', { name: 'My Notes' }, 'Resource My Notes: "My Notes" must match ^[a-z][a-z0-9_]{0,63}$'],
    ['an item', { item: 'note;' }, 'Resource notes: "note;" must match'],
    ['a table', { table: 'notes n' }, 'Resource notes: "notes n" must match'],
    ['a table that is too long', { table: 'n'.repeat(65) }, 'must match'],
    ['a column', { columns: { id: identifier(), 'a-b': text({}) } }, 'Resource notes: "a-b" must match'],
    ['an embedded member', { columns: column, embed: { ...user, as: 'User' } }, 'Resource notes: "User" must match'],
    [
      'an embedded table',
      { columns: column, embed: { ...user, table: 'users--' } },
      'Resource notes: "users--" must match',
    ],
    [
      'an embedded column',
      { columns: column, embed: { ...user, columns: { id: identifier(), 'x"': text({}) } } },
      '"x"" must match',
    ],
  ])('refuses %s that is not plain: it would end up in SQL', (_what, part, message) => {
    const define = () => defineResource({ ...notes, ...part });
    expect(define).toThrow(TypeError);
    expect(define).toThrow(message);
  });

  test('refuses columns without an id, its own or embedded', () => {
    const message = 'Resource notes: "id" is missing among the columns';
    expect(() => defineResource({ ...notes, columns: { title: text({}), created_at: createdAt() } })).toThrow(message);
    expect(() =>
      defineResource({ ...notes, columns: column, embed: { ...user, columns: { name: text({}) } } }),
    ).toThrow(message);
  });

  test('refuses columns without the time by which lists are in order', () => {
    const message = 'Resource notes: "created_at" is missing among the columns; lists are in its order';
    expect(() => defineResource({ ...notes, columns: { id: identifier(), title: text({}) } })).toThrow(message);
  });

  test('refuses owners of whom no column tells, and names that are no names', () => {
    const owners = { table: 'users', role: 'role', administrator: 'admin' };
    expect(() => defineResource({ ...notes, owners })).toThrow(
      'Resource notes: "owners" tells whose rows they are, but no "owner" says by which column',
    );
    for (const wrong of [{ table: 'users u' }, { role: 'role;' }]) {
      expect(() => defineResource({ ...notes, owner: 'id', owners: { ...owners, ...wrong } })).toThrow('must match');
    }
  });

  test('refuses an owner and an embedding that name no column', () => {
    expect(() => defineResource({ ...notes, owner: 'user_id' })).toThrow(
      'Resource notes: owner names "user_id", which is none of its columns',
    );
    expect(() => defineResource({ ...notes, embed: user })).toThrow(
      'Resource notes: embed.through names "user_id", which is none of its columns',
    );
    expect(defineResource({ ...notes, columns: column, owner: 'user_id', embed: user }).owner).toBe('user_id');
  });

  test('a client may give what is writable, and references only when the row is created', () => {
    expect(writableColumns(posts.columns, 'create')).toEqual(['title', 'content', 'user_id']);
    expect(writableColumns(posts.columns, 'update')).toEqual(['title', 'content']);
  });

  test('posts are registered', () => {
    expect(resources).toEqual([posts]);
  });
});

describe('a row as JSON', () => {
  const row = (
    changes: Partial<
      Record<'id' | 'title' | 'created' | 'updated' | 'userId' | 'embeddedId' | 'name', string | number | bigint | null>
    > = {},
  ): Row => {
    const base = {
      id: 1,
      title: 'T',
      created: '2025-01-01 00:00:00',
      updated: null,
      userId: 2,
      embeddedId: 2,
      name: 'Ada',
      ...changes,
    };
    return [
      base.id,
      base.title,
      'C',
      base.created,
      base.updated,
      base.userId,
      base.embeddedId,
      base.name,
      'a@example.com',
    ];
  };

  test('has the members of the contract, in order', () => {
    expect(posts.toJson(row())).toBe(
      '{"id":1,"title":"T","content":"C","created_at":"2025-01-01T00:00:00Z","updated_at":null,"user_id":2,"user":{"id":2,"name":"Ada","email":"a@example.com"}}',
    );
  });

  test('ids keep all their digits, whatever type they come in', () => {
    for (const id of ['18446744073709551615', 9223372036854775807n, 9007199254740991]) {
      expect(posts.toJson(row({ id, userId: id, embeddedId: id }))).toMatch(
        new RegExp(`^{"id":${id},.*"user_id":${id},"user":{"id":${id},`),
      );
    }
  });

  test('a row whose embedded row is not there has null for it; a null in it is null', () => {
    expect(posts.toJson(row({ embeddedId: null, name: null }))).toContain('"user":null}');
    expect(JSON.parse(posts.toJson(row({ name: null, userId: null })))).toMatchObject({
      user_id: null,
      user: { id: 2, name: null },
    });
  });

  test('the zero date is null; fractions of a second stay', () => {
    expect(posts.toJson(row({ created: '0000-00-00 00:00:00' }))).toContain('"created_at":null');
    expect(posts.toJson(row({ created: '2025-01-01 00:00:00.123' }))).toContain(
      '"created_at":"2025-01-01T00:00:00.123Z"',
    );
  });

  test('any text is escaped as JSON wants it', () => {
    for (const title of ['"', '\\', '\n\u0000\u001f', '</script>', '\u2028', '😀', 'שלום', '{"id":9}', '']) {
      expect(JSON.parse(posts.toJson(row({ title }))).title).toBe(title);
    }
  });

  test('a column for which the row has no value is null', () => {
    expect(defineResource(notes).toJson([1])).toBe('{"id":1,"title":null,"created_at":null}');
  });
});

describe('statements', () => {
  const mysql = { name: 'mysql', integer: 'INT(?)', forUpdate: ' FOR UPDATE', forShare: ' FOR SHARE' } as const;

  test('without an embedded row and an owner they touch one table', () => {
    const statements = buildStatements(notes, mysql);
    expect(statements.selectAll).toBe('SELECT t.id, t.title, t.created_at FROM notes t');
    expect(statements.selectForUpdate).toBe(
      'SELECT t.id, t.title, t.created_at FROM notes t WHERE t.id = INT(?) FOR UPDATE',
    );
    expect(statements.insert).toBe('INSERT INTO notes (title, created_at) VALUES (?, CURRENT_TIMESTAMP)');
    expect(statements.update(['title'])).toBe('UPDATE notes SET title = ? WHERE id = INT(?)');
  });

  test('a page is cut before the embedded row is joined to it, and put in order after that again', () => {
    const order = 'ORDER BY t.created_at DESC, t.id DESC';
    const page = buildStatements(posts, mysql).selectPage(3, 'first');
    expect(page).toContain(`FROM (SELECT t.* FROM posts t  ${order} LIMIT 3) t LEFT JOIN users e`);
    expect(page.endsWith(order)).toBe(true);
  });

  test('ids go through the placeholder for exact integers, times are set by the database', () => {
    const statements = buildStatements(posts, mysql);
    expect(statements.insert).toBe(
      'INSERT INTO posts (title, content, user_id, created_at, updated_at) VALUES (?, ?, INT(?), CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)',
    );
    expect(statements.update(['content'])).toBe(
      'UPDATE posts SET content = ?, updated_at = CURRENT_TIMESTAMP WHERE id = INT(?)',
    );
  });
});

describe('an identifier', () => {
  test('is a positive integer of 64 bits in plain digits', () => {
    for (const good of ['1', '42', '9007199254740993', '18446744073709551615']) expect(isIdentifier(good)).toBe(true);
    const bad = [
      '',
      '0',
      '01',
      '-1',
      '+1',
      '1.0',
      '1e3',
      ' 1',
      '1 ',
      '1\n',
      '0x1',
      '١',
      'abc',
      '18446744073709551616',
      '9'.repeat(21),
    ];
    for (const each of bad) expect({ each, good: isIdentifier(each) }).toEqual({ each, good: false });
  });

  test('in JSON it is a number that is exact, or digits', () => {
    for (const good of [1, 9007199254740991, '18446744073709551615']) expect(isIdentifierValue(good)).toBe(true);
    for (const bad of [0, -1, 1.5, 9007199254740992, Number.NaN, '0', '01', null, true, undefined, [1], {}]) {
      expect({ bad, good: isIdentifierValue(bad) }).toEqual({ bad, good: false });
    }
  });

  test('becomes a number where a number is exact', () => {
    expect(toNumberWhereExact('42')).toBe(42);
    expect(toNumberWhereExact('9007199254740991')).toBe(9007199254740991);
    expect(toNumberWhereExact('9007199254740993')).toBe('9007199254740993');
  });
});

describe('what a client may send', () => {
  test('text has the limits that are given, and no others', () => {
    expect(text({ maxCharacters: 255, maxBytes: 65_535 }).schema).toMatchObject({
      type: 'string',
      maxLength: 255,
      maxBytes: 65_535,
      notBlank: true,
    });
    expect(text({}).schema).not.toHaveProperty('maxLength');
    expect(text({}).schema).not.toHaveProperty('maxBytes');
  });

  test('times are set by the service: the one when a row is created, the other whenever it changes', () => {
    expect([createdAt().stamp, updatedAt().stamp, text({}).stamp]).toEqual(['on-create', 'always', 'never']);
    expect([createdAt().writable, updatedAt().writable, identifier().writable]).toEqual(['never', 'never', 'never']);
  });
});
