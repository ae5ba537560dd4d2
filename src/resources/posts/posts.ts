import { createdAt, identifier, reference, text, updatedAt } from '../columns.ts';
import { defineResource } from '../resource.ts';

const minuteMs = 60_000;

/** Posts and the author that each shows. The tables belong to the PHP backend's migrations. */
export const posts = defineResource({
  name: 'posts',
  item: 'post',
  table: 'posts',
  columns: {
    id: identifier(),
    title: text({ maxCharacters: 255 }),
    content: text({ maxBytes: 65_535 }),
    created_at: createdAt(),
    updated_at: updatedAt(),
    user_id: reference(),
  },
  embed: {
    as: 'user',
    table: 'users',
    through: 'user_id',
    columns: { id: identifier(), name: text({}), email: text({}) },
  },
  owner: 'user_id',
  owners: { table: 'users', role: 'role', administrator: 'admin' },
  events: { created: 'new_post', updated: 'post_updated', deleted: 'post_deleted' },
  examples: {
    title: 'Welcome to EnergeX',
    content: 'The first read says "source": "database", the second "source": "cache".',
    user: { id: 1, name: 'Ada Lovelace', email: 'ada@example.com' },
  },
  ttl: { list: 5 * minuteMs, item: 10 * minuteMs, absent: minuteMs / 2 },
});
