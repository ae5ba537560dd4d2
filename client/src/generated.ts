// Made by `npm run docs` from the definitions of the resources; a test fails when it is not what they say.
import type { Collections } from './collections.ts';

export interface Post {
  readonly id: number;
  readonly title: string;
  readonly content: string;
  readonly created_at: string | null;
  readonly updated_at: string | null;
  readonly user_id: number;
  readonly user: {
    readonly id: number;
    readonly name: string;
    readonly email: string;
  } | null;
}

export interface Rows {
  readonly posts: Post;
}

/** What is given when a row is created. */
export interface NewRows {
  readonly posts: {
    readonly title: string;
    readonly content: string;
    readonly user_id: number;
  };
}

/** What may be changed of a row; what is left out stays. */
export interface RowChanges {
  readonly posts: {
    readonly title?: string;
    readonly content?: string;
  };
}

export type ResourceName = keyof Rows;

/** The kinds of the members of a row, as `typeof` tells them, or the shape of an object, which may be null. */
export type Shape<Row> = { readonly [Member in keyof Row]-?: string | Shape<NonNullable<Row[Member]>> };

export interface ResourceSpec<Row> {
  readonly path: string;
  readonly item: string;
  readonly events: { readonly created: string; readonly updated: string; readonly deleted: string };
  readonly shape: Shape<Row>;
}

export const resources: { readonly [Name in ResourceName]: ResourceSpec<Rows[Name]> } = {
  posts: {
    path: '/cache/posts',
    item: 'post',
    events: { created: 'new_post', updated: 'post_updated', deleted: 'post_deleted' },
    shape: {
      id: 'number',
      title: 'string',
      content: 'string',
      created_at: 'string|null',
      updated_at: 'string|null',
      user_id: 'number',
      user: {
        id: 'number',
        name: 'string',
        email: 'string',
      },
    },
  },
};

/** Makes the collections of every resource. */
export function mapResources(make: <Name extends ResourceName>(name: Name) => Collections<Name>): AllCollections {
  return { posts: make('posts') };
}

export type AllCollections = { readonly [Name in ResourceName]: Collections<Name> };

/** How many rooms a client may be in at a time. */
export const mostRooms = 100;
