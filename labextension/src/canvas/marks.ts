import type { Position } from 'cytoscape';

import { Shape, type INode, type State } from './protocol';
import { LOOKS, type IBox, type IPaint } from './style';

/** How one job looks now. */
export interface ILooks {
  readonly box: IBox;
  readonly paint: IPaint;
  readonly zoom: number;
  readonly state: State;
  readonly progress: number | null;
  readonly around: '' | 'selected' | 'hovered' | 'refused';
}

const READABLE = 3.5; // pixels of a font on the screen, before it is made larger
const LEGIBLE = 9.5; // pixels to which it is made larger
const LARGER = 1.5; // times at most
const THICK: ReadonlySet<State> = new Set<State>(['failed', 'lost']);

/** The strong colour of a state; on dark ground a state that is nearly black is nearly white. */
export function strong(state: State, dark: boolean): string {
  return dark && state === 'lost' ? '#c9d1d9' : LOOKS[state].strong;
}

/** Add a job's outline to a path, larger on each side by so much. */
export function block(path: Path2D, at: Position, box: IBox, more: number): void {
  path.rect(at.x - box.width / 2 - more, at.y - box.height / 2 - more, box.width + 2 * more, box.height + 2 * more);
}

/** Paint a job, or a stack of them: box, symbol, progress, name, host. */
export function job(context: CanvasRenderingContext2D, node: INode, at: Position, looks: ILooks): void {
  const { box, paint, zoom, state } = looks;
  context.save();
  context.translate(at.x - box.width / 2, at.y - box.height / 2);
  outline(context, looks);
  for (const step of node.shape === Shape.Stack ? [2, 1, 0] : [0]) {
    sheet(context, looks, (step * box.beside) / 5);
  }
  const left = state ? 2 * box.radius + (box.facts ? 18 : 11) : 12;
  if (state) {
    symbol(context, { x: left / 2 + (box.facts ? 1 : 0), y: box.height / 2 }, looks);
  }
  if (box.font * zoom >= READABLE) {
    words(context, node, left, looks);
  } else {
    context.fillStyle = paint.track; // from too far to read
    context.fillRect(left, box.height * 0.4, box.width * 0.55, box.height * 0.2);
  }
  context.restore();
}

function outline(context: CanvasRenderingContext2D, { box, paint, zoom, around }: ILooks): void {
  if (!around) {
    return;
  }
  const width = Math.max(3, 2.5 / zoom);
  rounded(context, -width / 2 - 1, -width / 2 - 1, box.width + width + 2, box.height + width + 2, box.height / 6 + width);
  context.strokeStyle = around === 'refused' ? paint.failed : paint.accent;
  context.globalAlpha = around === 'hovered' ? 0.45 : 1;
  context.setLineDash(around === 'refused' ? [6, 4] : []);
  context.lineWidth = width;
  context.stroke();
  context.globalAlpha = 1;
  context.setLineDash([]);
}

/** A box; those behind it stand out above and to the right. */
function sheet(context: CanvasRenderingContext2D, { box, paint, state }: ILooks, off: number): void {
  const look = LOOKS[state];
  rounded(context, off, -off, box.width, box.height, box.height / 6);
  context.fillStyle = paint.dark ? look.dark : look.tint;
  context.fill();
  context.strokeStyle = strong(state, paint.dark);
  context.lineWidth = THICK.has(state) ? 2 : 1.2;
  context.setLineDash(state === 'skipped' ? [4, 3] : []);
  context.stroke();
  context.setLineDash([]);
}

/** The symbol of the state, in a disc or a ring, and around it how far the job is. */
function symbol(context: CanvasRenderingContext2D, at: Position, { box, paint, state, progress }: ILooks): void {
  const { hollow, symbol: path } = LOOKS[state];
  const colour = strong(state, paint.dark);
  context.save();
  context.translate(at.x, at.y);
  if (progress !== null) {
    ring(context, box, colour, paint.track, progress);
  }
  context.scale(box.radius / 6, box.radius / 6);
  context.beginPath();
  context.arc(0, 0, 6, 0, 2 * Math.PI);
  context.fillStyle = hollow ? paint.paper : paint.dark && state === 'lost' ? '#6e7681' : colour;
  context.fill();
  context.lineWidth = 1.2;
  context.strokeStyle = colour;
  if (hollow) {
    context.stroke();
  }
  if (path) {
    context.lineWidth = 1.6;
    context.lineCap = context.lineJoin = 'round';
    context.strokeStyle = context.fillStyle = hollow ? colour : '#ffffff';
    context.stroke(path);
    if (state === 'running') {
      context.fill(path);
    }
  }
  context.restore();
}

function ring(context: CanvasRenderingContext2D, box: IBox, colour: string, track: string, progress: number): void {
  const width = box.facts ? 3 : 2;
  const radius = box.radius + width;
  const top = -Math.PI / 2;
  context.lineWidth = width;
  for (const [stroke, part] of [[track, 1], [colour, progress / 100]] as const) {
    context.beginPath();
    context.arc(0, 0, radius, top, top + 2 * Math.PI * part);
    context.strokeStyle = stroke;
    context.stroke();
  }
}

/** The box with the fonts and lines for this zoom: from afar words grow, as long as they fit, so that they can be read. */
function scaled(box: IBox, zoom: number): IBox {
  const more = Math.min(LARGER, Math.max(1, LEGIBLE / (box.font * zoom))) - 1;
  const [name, facts] = box.facts ? [box.name + more * 6, box.facts + more * 12] : [box.name + more * 4, 0];
  return { ...box, font: box.font * (1 + more), small: box.small * (1 + more), name, facts };
}

function words(context: CanvasRenderingContext2D, node: INode, left: number, looks: ILooks): void {
  const { paint, state, progress } = looks;
  const box = scaled(looks.box, looks.zoom);
  const badge = node.host && node.host !== 'local' && node.parent < 0 ? pill(context, node.host, box, paint) : 0;
  const facts = box.facts && state ? state + (progress === null ? '' : ` · ${progress}%`) : '';
  const second = Boolean(facts || (badge && box.facts));
  const line = second ? box.name : box.height / 2 + box.font * 0.36;
  let end = box.width - 8 - (box.facts ? 0 : badge);
  context.fillStyle = paint.ink;
  context.font = `${box.font}px ${paint.font}`;
  if (node.shape === Shape.Stack) {
    const times = `×${node.count.toLocaleString('en')}`;
    context.textAlign = 'right';
    context.fillText(times, end, line);
    end -= context.measureText(times).width + 6;
  }
  context.textAlign = 'left';
  context.fillText(shorten(context, node.label, end - left), left, line);
  if (facts) {
    context.font = `${box.small}px ${paint.font}`;
    context.fillStyle = paint.faint;
    const room = box.width - 8 - badge - left;
    context.fillText(fits(context, facts, room) ? facts : shorten(context, progress === null ? state : `${progress}%`, room), left, box.facts);
  }
}

/** The host's badge, at the right; returns its width and the gap before it. */
function pill(context: CanvasRenderingContext2D, host: string, box: IBox, paint: IPaint): number {
  context.font = `${box.small}px ${paint.font}`;
  const text = shorten(context, host, box.width * 0.36);
  const wide = context.measureText(text).width + 10;
  const high = box.small + 4;
  const line = box.facts || box.height / 2 + box.small * 0.36;
  const [x, y] = [box.width - 8 - wide, line - box.small * 0.36 - high / 2];
  rounded(context, x, y, wide, high, high / 2);
  context.fillStyle = paint.badge;
  context.fill();
  context.strokeStyle = '#aab2bd';
  context.lineWidth = 0.8;
  context.stroke();
  context.fillStyle = paint.faint;
  context.textAlign = 'center';
  context.fillText(text, x + wide / 2, line);
  return wide + 6;
}

function fits(context: CanvasRenderingContext2D, text: string, room: number): boolean {
  return context.measureText(text).width <= room;
}

function rounded(context: CanvasRenderingContext2D, x: number, y: number, width: number, height: number, radius: number): void {
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
}

const shortened = new Map<string, string>();

/** Leave out the middle of a text that needs more room: names that belong together often differ at their ends. */
function shorten(context: CanvasRenderingContext2D, text: string, room: number): string {
  const key = `${context.font}\n${Math.round(room)}\n${text}`;
  let short = shortened.get(key);
  if (short === undefined) {
    if (shortened.size > 20000) {
      shortened.clear();
    }
    shortened.set(key, (short = fitted(context, text.slice(0, 300), room)));
  }
  return short;
}

function fitted(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (fits(context, text, room)) {
    return text;
  }
  const letters = Array.from(text);
  for (let kept = letters.length - 1; kept > 0; kept--) {
    const head = Math.ceil(kept * 0.6);
    const tail = letters.slice(letters.length - (kept - head)).join('');
    const candidate = `${letters.slice(0, head).join('')}…${tail}`;
    if (fits(context, candidate, room)) {
      return candidate;
    }
  }
  return '…';
}
