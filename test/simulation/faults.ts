import type { Instance } from './instance.ts';
import { type FaultKind, limits } from './scenario.ts';
import type { World } from './world.ts';

/** Makes one fault of the kind happen now. Returns what it was, for the log. */
export function strike(kind: FaultKind, world: World, aim: Instance | undefined): string {
  const { random, redis, database } = world;
  const target = aim ?? random.pick(world.instances);
  const server = redis.server;
  switch (kind) {
    case 'crash':
      world.replace(target, random.between(1, limits.longestDownMs));
      return `${target.host.name} is killed`;
    case 'pause': {
      const ms = random.between(1, limits.longestPauseMs);
      target.pause(ms);
      return `${target.host.name} is paused for ${ms.toFixed()} ms`;
    }
    case 'redis link lost':
    case 'redis link held': {
      const ms = random.between(0, random.chance(0.5) ? 20 : limits.longestHoldMs);
      const links = random.chance(0.5) ? target.links : [random.pick(target.links)];
      for (const link of links) {
        if (kind === 'redis link held') link.hold(ms);
        else link.cut(ms);
      }
      return `${target.host.name}: ${links.map(({ name }) => name).join(' and ')} for ${ms.toFixed()} ms`;
    }
    case 'redis restart':
      redis.replace(random.between(0.1, limits.longestDownMs), 'snapshot');
      return '';
    case 'redis restart empty':
      redis.replace(random.between(0.1, limits.longestDownMs), 'empty');
      return '';
    case 'redis promoted anew':
      redis.replace(random.between(0.1, limits.longestDownMs), 'promoted anew');
      return '';
    case 'redis left': {
      const ms = random.between(20, limits.longestDownMs);
      world.split(ms);
      redis.leaveAndReturn(ms, (connection) => target.links.some((link) => link.isOn(connection)));
      return `by all but ${target.host.name} for ${ms.toFixed()} ms`;
    }
    case 'flush':
      server.run(['FLUSHALL']);
      world.oracle.deleted(undefined);
      return '';
    case 'evict': {
      const keys = server.keyspace.keys(server.now);
      if (keys.length === 0) return 'nothing to evict';
      const key = random.pick(keys);
      server.keyspace.delete(key, server.now);
      return key;
    }
    case 'evict fences':
      server.keyspace.delete('energex:fences', server.now);
      return '';
    case 'scripts forgotten':
      server.forgetScripts();
      return '';
    case 'database link lost':
      world.cutFromDatabase(target, random.between(0, random.chance(0.7) ? 10 : limits.longestDownMs));
      return target.host.name;
    case 'database restart':
      database.restart(random.between(0.1, limits.longestDownMs));
      return '';
    case 'database failover':
      if (!world.mayFailOver()) return 'no second time';
      database.failOver(random.between(0.1, limits.longestDownMs), random.below(6));
      return '';
  }
}
