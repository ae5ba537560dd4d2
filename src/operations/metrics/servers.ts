import { type CommandsEvent, commandsChannel } from '../../redis/channels.ts';
import {
  type LoadAnswer,
  loadAnswers,
  loadsChannel,
  operations,
  type StatementEvent,
  statementsChannel,
} from '../../database/channels.ts';
import type { Tallies } from './tallies.ts';

/** What the gauges ask for when they are read. */
export interface ServerStates {
  readonly isRedisUp: () => boolean;
  readonly pool: () => { readonly used: number; readonly idle: number; readonly waiting: number };
}

/** Redis and the database, as this process finds them. Returns how to stop counting. */
export function countServers(tallies: Tallies, states: ServerStates): () => void {
  const commands = tallies.durations('energex_redis_command_duration_seconds');
  const queries = tallies.durations('energex_mysql_query_duration_seconds');
  const errors = tallies.numbers('energex_mysql_query_errors_total');
  for (const operation of operations) errors.at(operation);
  const countCommands = (message: unknown): void => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const { command, ms } = message as CommandsEvent;
    commands.at(command).observe(ms);
  };
  const countStatement = (message: unknown): void => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const { operation, ms, failed } = message as StatementEvent;
    queries.at(operation).observe(ms);
    if (failed) errors.at(operation).value += 1;
  };
  const loads = tallies.numbers('energex_mysql_replicated_loads_total');
  for (const answer of loadAnswers) loads.at(answer);
  const countLoad = (message: unknown): void => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    loads.at(message as LoadAnswer).value += 1;
  };
  lookAtStates(tallies, states);
  loadsChannel.subscribe(countLoad);
  commandsChannel.subscribe(countCommands);
  statementsChannel.subscribe(countStatement);
  return () => {
    commandsChannel.unsubscribe(countCommands);
    statementsChannel.unsubscribe(countStatement);
    loadsChannel.unsubscribe(countLoad);
  };
}

function lookAtStates(tallies: Tallies, { isRedisUp, pool }: ServerStates): void {
  const up = tallies.numbers('energex_redis_up').at();
  const connections = tallies.numbers('energex_mysql_pool_connections');
  tallies.beforeReading(() => {
    up.value = isRedisUp() ? 1 : 0;
    for (const [state, count] of Object.entries(pool())) connections.at(state).value = count;
  });
}
