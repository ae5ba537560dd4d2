import { setTimeout } from 'node:timers/promises';
import { describeError } from '../errors.ts';
import type { EventPrinter, PrintedEvent } from './event-printer.ts';
import type { Output } from './output.ts';
import type { OperatorApi } from './running-instance.ts';

/** As `GET /dashboard/api/events` has it: how far the log was read, and what came; `null` when not all of it is there any more. */
interface Told {
  readonly epoch: string;
  readonly offset: number;
  readonly events: readonly PrintedEvent[] | null;
}

type Position = Pick<Told, 'epoch' | 'offset'>;

const lookMs = 200;
const awayMs = 1_000;

/**
 * What an instance tells of its event log from now on, until it was enough or no more is wanted. The first failure ends it, with
 * `COMMAND_FAILED`; an instance that goes away later is waited for.
 */
export async function followInstance(
  operators: OperatorApi,
  printer: EventPrinter,
  output: Output,
  isStopped: () => boolean,
): Promise<void> {
  let position: Position | undefined;
  while (!isStopped() && !printer.isDone) {
    try {
      const { epoch, offset, events } = await look(operators, position);
      if (events === null) printer.begin(epoch);
      else printer.print(epoch, events);
      position = { epoch, offset };
      if (events?.length === 0) await setTimeout(lookMs);
    } catch (error) {
      if (position === undefined) throw error;
      output.note(`${describeError(error)}; looking again`);
      await setTimeout(awayMs);
    }
  }
}

async function look(operators: OperatorApi, position: Position | undefined): Promise<Told> {
  const { epoch = '', offset = '' } = position ?? {};
  const query = position === undefined ? '' : `?${new URLSearchParams({ epoch, offset: String(offset) }).toString()}`;
  // Of an instance of the same version: `ask` has refused what is none.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (await operators.ask(`/events${query}`)) as Told;
}
