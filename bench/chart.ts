import { type Result, short } from './report.ts';

/** Bars of the ratios to the base of each path, on a logarithmic scale; the line is the base itself. */
export function drawChart(results: readonly Result[]): string {
  const parts: string[] = [];
  let y = 30;
  for (const { title, base, figure, rows } of results) {
    parts.push(text(10, y, `${title} (${figure}, ${base} = 1)`, 'bold'));
    y += 8;
    for (const { candidate, ratio } of rows) {
      y += barHeight + 4;
      parts.push(text(20, y, candidate));
      const length = toLength(ratio.median);
      const colour = candidate === base ? '#999' : candidate.startsWith('energex') ? '#2a6' : '#58a';
      parts.push(
        `<rect x="${left}" y="${y - barHeight + 3}" width="${length}" height="${barHeight}" fill="${colour}"/>`,
      );
      const [low, high] = [toLength(ratio.low), toLength(ratio.high)];
      parts.push(
        `<path d="M${left + low} ${y - 3}H${left + high}" stroke="#000"/>`,
        text(left + high + 8, y, short(ratio.median)),
      );
    }
    y += 30;
  }
  const line = left + toLength(1);
  parts.push(`<path d="M${line} 15V${y - 25}" stroke="#c33" stroke-dasharray="3 3"/>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + widest + 90}" height="${y}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`;
}

const barHeight = 12;
const left = 170;
const widest = 420;
/** The scale reaches from a hundredth to a hundred times the base. */
const least = 0.01;
const decades = 4;

function toLength(ratio: number): number {
  const share = Math.log10(Math.max(ratio, least) / least) / decades;
  return Math.round(Math.min(Math.max(Number.isNaN(share) ? 0 : share, 0), 1) * widest);
}

function text(x: number, y: number, content: string, weight = 'normal'): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x}" y="${y}" font-weight="${weight}">${escaped}</text>`;
}
