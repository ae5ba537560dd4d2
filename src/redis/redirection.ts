import type { Command } from './link.ts';
import type { Call } from './scripts.ts';
import type { Steps } from './servers.ts';

/**
 * What a node of a cluster says instead of answering: `MOVED` (the slot is another node's), `ASK` (it is moving, and this
 * key has moved already), `TRYAGAIN` (some of the keys have).
 */
export type Redirection = { readonly kind: 'moved' | 'later' } | { readonly kind: 'ask'; readonly node: string };

export function redirectionIn(error: unknown): Redirection | undefined {
  const [word, , node = ''] = error instanceof Error ? error.message.split(' ') : [];
  if (word === 'MOVED') return { kind: 'moved' };
  if (word === 'ASK') return { kind: 'ask', node };
  return word === 'TRYAGAIN' ? { kind: 'later' } : undefined;
}

/** The same server, for keys of a slot that is on its way to it. */
export function asking(server: Steps): Steps {
  const on = <C extends Call>(call: C): C => ({ ...call, link: askingLink(call.link) });
  return {
    withCommands: (step) => server.withCommands((call) => step(on(call))),
    withValues: (step) => server.withValues((call) => step(on(call))),
    withDeletion: (step) => server.withDeletion((call) => step(on(call))),
    settle: server.settle.bind(server),
  };
}

function askingLink(link: Call['link']): Call['link'] {
  return {
    send: async (deadlineMs, commands) => {
      const replies = await link.send(
        deadlineMs,
        commands.flatMap((command): Command[] => [['ASKING'], command]),
      );
      return replies.filter((_, index) => index % 2 === 1);
    },
  };
}
