import type { ServerResponse } from 'node:http';
import { mostPreparedBytes } from '../cache/memory-tier.ts';
import type { Answer } from '../cache/answer.ts';
import { toBuffer } from '../cache/rope.ts';
import { endWith, type Frame, httpDate, isoTime, toLines } from './answer-text.ts';
import { envelopeHead, envelopeTail, type PageOf, readHeaders } from './envelope.ts';

/**
 * Sends what was loaded for a request: text that is made for one answer. `false` when it is too large for that; then nothing
 * is sent.
 */
export function sendLoaded(
  response: ServerResponse,
  frame: Frame,
  answer: Answer,
  { page, isVarying }: { readonly page: PageOf | undefined; readonly isVarying: boolean },
): boolean {
  const { value } = answer;
  if (value.length > mostPreparedBytes) return false;
  const now = Date.now();
  const lines = isVarying ? frame.varying : frame.plain;
  const head = `${lines.ok}${toLines(readHeaders(answer, page, ok))}Date: ${httpDate(now)}${frame.ending}`;
  const body = `${envelopeHead}${toBuffer(value).toString('latin1')}${envelopeTail('database', isoTime(now))}`;
  endWith(response, head + body);
  return true;
}

const ok = { status: 200, coded: undefined } as const;
