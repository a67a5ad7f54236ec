import type { Position, StylesheetJson } from 'cytoscape';

import type { State } from './protocol';

/** How a state is drawn, as in the SVG: strong colour, tint, tint on dark ground, and a symbol of strokes around 0,0, 7 wide. */
export interface ILook {
  readonly strong: string;
  readonly tint: string;
  readonly dark: string;
  readonly symbol: Path2D | null;
  /** Its symbol stands in a ring, not on a disc. */
  readonly hollow: boolean;
}

function look(strong: string, tint: string, dark: string, symbol: string, hollow = false): ILook {
  return { strong, tint, dark, symbol: symbol ? new Path2D(symbol) : null, hollow };
}

/** No two states differ by colour alone. */
export const LOOKS: Readonly<Record<State, ILook>> = {
  '': look('#8c959f', '#ffffff', '#161b22', ''),
  waiting: look('#6b7280', '#f6f7f8', '#23272e', 'M0-3.2V.2L2.2 1.6', true),
  submitting: look('#2b86bd', '#e9f4fb', '#16303f', 'M0 3.2V-3M-2.6-.5L0-3.1 2.6-.5'),
  queued: look('#0067a3', '#dfecf7', '#10293d', 'M-3-2.4H3M-3 0H3M-3 2.4H.6'),
  running: look('#b37400', '#fff3d1', '#3a2c0b', 'M-1.7-2.9L3 0-1.7 2.9z'),
  cancelling: look('#a8558a', '#faedf5', '#38202f', 'M-2.3-2.3H2.3V2.3H-2.3z'),
  done: look('#007d5f', '#e0f5ed', '#0e3328', 'M-3.1.3L-.9 2.5 3.2-2.3'),
  failed: look('#c44f00', '#fde8dc', '#43200c', 'M-2.4-2.4L2.4 2.4M2.4-2.4L-2.4 2.4'),
  cancelled: look('#7d3f69', '#f3e8ef', '#301d2a', 'M-3.1 0H3.1'),
  skipped: look('#858b94', '#fbfbfc', '#1d2025', 'M-2.8-2.4L-.4 0-2.8 2.4M.6-2.4L3 0 .6 2.4', true),
  lost: look('#24292f', '#e8e8e8', '#3a3d42', 'M-2-1.5C-2-4.2 2-4 1.9-1.5 1.8 0 0-.2 0 1.1M0 3.2V3.3')
};

/** The colours of everything but the states. */
export interface IPaint {
  readonly dark: boolean;
  readonly paper: string;
  readonly ink: string;
  readonly faint: string;
  readonly badge: string;
  readonly line: string;
  readonly tip: string;
  readonly failed: string;
  readonly live: string;
  readonly accent: string;
  readonly track: string;
  readonly font: string;
}

/** Read JupyterLab's theme. */
export function readPaint(): IPaint {
  const dark = document.body.dataset['jpThemeLight'] === 'false';
  const css = getComputedStyle(document.body);
  const word = (name: string, otherwise: string): string => css.getPropertyValue(name).trim() || otherwise;
  const [ink, faint, badge, failed, live] = dark
    ? ['#e6edf3', '#b1bac4', '#161b22', '#f0883e', '#e0a030']
    : ['#1f2328', '#4b5563', '#ffffff', '#c44f00', '#b37400'];
  return {
    dark,
    ink,
    faint,
    badge,
    failed,
    live,
    paper: word('--jp-layout-color0', dark ? '#111111' : '#ffffff'),
    line: '#8c959f',
    tip: dark ? '#9aa4ae' : '#6e7781',
    accent: word('--jp-brand-color1', '#2196f3'),
    track: dark ? 'rgba(255,255,255,.18)' : 'rgba(0,0,0,.12)',
    font: '"Helvetica Neue", Helvetica, Arial, "DejaVu Sans", sans-serif'
  };
}

/** The room of a job, in the units of the graph; as in the SVG. */
export interface IBox {
  readonly width: number;
  readonly height: number;
  readonly beside: number;
  readonly font: number;
  readonly small: number;
  readonly radius: number;
  /** The baseline of the name, and that of a second line; 0 for none. */
  readonly name: number;
  readonly facts: number;
}

const ROOMY: IBox = { width: 188, height: 48, beside: 16, font: 12, small: 10, radius: 9, name: 20, facts: 35 };
const DENSE: IBox = { width: 148, height: 22, beside: 9, font: 10, small: 7.5, radius: 6.5, name: 14.5, facts: 0 };

/** The box of each job in a picture of so many. */
export function boxFor(jobs: number): IBox {
  return jobs > 300 ? DENSE : ROOMY;
}

/** The extent of jobs whose centres are these. */
export function around(spots: readonly Position[], { width, height }: IBox): { x1: number; y1: number; x2: number; y2: number } {
  const all = { x1: Infinity, y1: Infinity, x2: -Infinity, y2: -Infinity };
  for (const { x, y } of spots) {
    all.x1 = Math.min(all.x1, x - width / 2);
    all.x2 = Math.max(all.x2, x + width / 2);
    all.y1 = Math.min(all.y1, y - height / 2);
    all.y2 = Math.max(all.y2, y + height / 2);
  }
  return all;
}

/** Above so many nodes edges are straight hairs without tips. */
export const LIGHT = 500;

/** The style of what cytoscape draws: edges and the boxes of hosts. Jobs are painted above it and here only take the pointer. */
export function sheet(paint: IPaint, box: IBox, light: boolean): StylesheetJson {
  return [
    {
      selector: 'node',
      style: { shape: 'rectangle', width: box.width, height: box.height, 'background-opacity': 0, 'overlay-opacity': 0 }
    },
    {
      selector: 'node.host',
      style: {
        shape: 'round-rectangle',
        'background-color': paint.ink,
        'background-opacity': paint.dark ? 0.07 : 0.035,
        'border-width': 1,
        'border-style': 'dashed',
        'border-color': paint.line,
        label: 'data(label)',
        'text-valign': 'top',
        'text-margin-y': -4,
        'font-family': paint.font,
        'font-size': light ? 40 : 13,
        'min-zoomed-font-size': 5,
        color: paint.faint,
        padding: '18px'
      }
    },
    {
      selector: 'edge',
      style: {
        width: light ? 1 : 1.4,
        'line-color': paint.line,
        'overlay-opacity': 0,
        ...(light ? { 'curve-style': 'haystack', 'haystack-radius': 0, opacity: 0.5 } : tip(paint.tip))
      }
    },
    ...(light ? [] : [{ selector: 'edge[weights]', style: CURVE }]),
    { selector: 'edge[kind = "any"]', style: { 'line-style': 'dashed', 'line-dash-pattern': [7, 4] } },
    { selector: 'edge[kind = "failed"]', style: { 'line-style': 'dashed', 'line-dash-pattern': [2, 3.5], ...tinted(paint.failed) } },
    ...(light ? [] : [{ selector: 'edge[kind][kind != "ok"]', style: ending(paint) }]),
    { selector: 'edge.live', style: { width: light ? 2 : 2.6, opacity: 1, ...tinted(paint.live) } },
    { selector: 'edge.hover', style: { width: light ? 2 : 2.6, opacity: 1 } },
    { selector: 'edge:selected', style: { width: 3.2, opacity: 1, 'z-index': 9, ...tinted(paint.accent) } },
    { selector: 'edge.eh-ghost-edge', style: { ...straight(paint.accent), 'line-style': 'dashed', 'line-dash-pattern': [6, 4] } },
    { selector: 'edge.eh-ghost-edge.eh-preview-active', style: { opacity: 0 } },
    { selector: 'edge.eh-preview', style: straight(paint.accent) }
  ] as StylesheetJson;
}

/** The words of a kind stand by its tip. */
function ending(paint: IPaint): object {
  return {
    'target-label': 'data(kind)',
    'target-text-offset': 24,
    'target-text-margin-y': -10,
    'text-background-color': paint.paper,
    'text-background-opacity': 0.85,
    'font-family': paint.font,
    'font-size': 12,
    'min-zoomed-font-size': 6.5,
    color: paint.faint
  };
}

function tinted(colour: string): object {
  return { 'line-color': colour, 'target-arrow-color': colour };
}

function tip(colour: string): object {
  return { 'target-arrow-shape': 'triangle', 'target-arrow-color': colour, 'arrow-scale': 0.9 };
}

/** From the right side of a job to the left side of another, level at both; the bends are those of `bend`. */
const CURVE = {
  'curve-style': 'unbundled-bezier',
  'edge-distances': 'endpoints',
  'source-endpoint': '50% 0%',
  'target-endpoint': '-50% 0%',
  'control-point-weights': 'data(weights)',
  'control-point-distances': 'data(distances)'
};

function straight(colour: string): object {
  return {
    'curve-style': 'straight',
    'source-endpoint': '50% 0%',
    'target-endpoint': 'outside-to-node',
    width: 2.4,
    opacity: 1,
    'line-color': colour,
    ...tip(colour)
  };
}
