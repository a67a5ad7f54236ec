const SVG = 'http://www.w3.org/2000/svg';

/** Paths of strokes in a square of 16; the filled ones end with z. */
const PATHS = {
  run: 'M4.5 2.8v10.4L13 8z',
  some: 'M6.5 4.5v7L12.5 8zM2 2.5h3M2 2.5v3M2 13.5h3M2 13.5v-3',
  from: 'M2.5 2.5v11M6 3.5v9L13.5 8z',
  again: 'M13 8a5 5 0 1 1-1.6-3.7M13.2 1.8v3h-3',
  cancel: 'M4 4h8v8H4z',
  add: 'M8 3v10M3 8h10',
  connect: 'M3.5 10.5a2 2 0 1 0 .1 0M12.5 1.5a2 2 0 1 0 .1 0M5 11l6-6M8 4.6h3.4V8',
  remove: 'M3 4.5h10M6.5 4V2.5h3V4M4.5 4.5l.6 9h5.8l.6-9M6.8 7v4M9.2 7v4',
  undo: 'M3 6.5h6.5a3.3 3.3 0 0 1 0 6.6H6M6 3.2 2.8 6.5 6 9.8',
  redo: 'M13 6.5H6.5a3.3 3.3 0 0 0 0 6.6H10M10 3.2l3.2 3.3L10 9.8',
  tidy: 'M6 1.8h4v3H6zM1.8 11.2h4v3h-4zM10.2 11.2h4v3h-4zM8 5v3M3.8 11V8h8.4v3',
  fit: 'M2.5 5.5v-3h3M10.5 2.5h3v3M13.5 10.5v3h-3M5.5 13.5h-3v-3M6 6h4v4H6z',
  host: 'M2 2.5h12v4.6H2zM2 9h12v4.6H2zM4.5 4.8h.1M4.5 11.3h.1',
  save: 'M8 2v8M4.8 7 8 10.2 11.2 7M2.5 10.5v3h11v-3',
  search: 'M7 2.5a4.5 4.5 0 1 0 .1 0M10.4 10.4 14 14',
  close: 'M4 4l8 8M12 4l-8 8'
} as const;

export type Icon = keyof typeof PATHS;

const FILLED: ReadonlySet<Icon> = new Set(['run', 'some', 'from', 'cancel']);

/** Draw an icon in the colour of the text around it. */
export function icon(name: Icon): SVGElement {
  const made = document.createElementNS(SVG, 'svg');
  const line = document.createElementNS(SVG, 'path');
  const fill = FILLED.has(name) ? 'currentColor' : 'none';
  const round = { 'stroke-linecap': 'round', 'stroke-linejoin': 'round' };
  const words = { d: PATHS[name], fill, stroke: 'currentColor', 'stroke-width': '1.3', ...round };
  made.setAttribute('viewBox', '0 0 16 16');
  made.setAttribute('aria-hidden', 'true');
  made.setAttribute('class', 'hnb-Chrome-icon');
  Object.entries(words).forEach(([key, value]) => line.setAttribute(key, value));
  made.append(line);
  return made;
}
