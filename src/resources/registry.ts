import { posts } from './posts/posts.ts';
import type { Resource } from './resource.ts';

/** Every table behind the cache. A new one is a folder, a migration and a line here. */
export const resources: readonly Resource[] = [posts];
