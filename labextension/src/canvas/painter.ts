import type { Position } from 'cytoscape';

import { block, job, strong } from './marks';
import { STATES, Shape, type INode, type State } from './protocol';
import { LOOKS, type IBox, type IPaint } from './style';
import type { Graph } from './graph';

/** What is on the canvas now. */
export interface IScene {
  readonly graph: Graph;
  readonly codes: Uint8Array;
  /** Where each node stands, in the order of the graph; these objects change as nodes move. */
  readonly spots: readonly Position[];
  readonly box: IBox;
  readonly light: boolean;
  readonly paint: IPaint;
  readonly zoom: number;
  readonly pan: Position;
  readonly selected: ReadonlySet<string>;
  readonly hovered: string | null;
  /** A job to which no edge may be drawn, while one is. */
  readonly refused: string | null;
}

export function stateOf(code: number): State {
  return code >= 100 ? 'running' : (STATES[code] ?? '');
}

export function progressOf(code: number): number | null {
  return code >= 100 && code <= 200 ? code - 100 : null;
}

/**
 * Paints the jobs above cytoscape, which draws only the edges below: a change of state then costs milliseconds, however many jobs
 * there are.
 */
export class Painter {
  readonly canvas = document.createElement('canvas');
  private readonly _context = this.canvas.getContext('2d') as CanvasRenderingContext2D;
  private _width = 0;
  private _height = 0;

  constructor() {
    this.canvas.className = 'hnb-Canvas-states';
    this.canvas.setAttribute('aria-hidden', 'true');
  }

  resize(width: number, height: number): void {
    const ratio = window.devicePixelRatio || 1;
    [this._width, this._height] = [width, height];
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
  }

  paint(scene: IScene): void {
    const { zoom, pan, box } = scene;
    const ratio = window.devicePixelRatio || 1;
    const context = this._context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this._width, this._height);
    context.setTransform(ratio * zoom, 0, 0, ratio * zoom, ratio * pan.x, ratio * pan.y);
    if (scene.light) {
      this._live(scene);
    }
    const seen = this._seen(scene);
    if (box.radius * zoom < 2.6) {
      this._blocks(scene, seen);
    } else {
      this._jobs(scene, seen);
    }
  }

  /** The jobs within the view, the selected ones last. */
  private _seen({ graph, spots, box, zoom, pan, selected }: IScene): INode[] {
    const [wide, high] = [box.width / 2 + 10, box.height / 2 + 10];
    const [left, top] = [-pan.x / zoom - wide, -pan.y / zoom - high];
    const [right, bottom] = [(this._width - pan.x) / zoom + wide, (this._height - pan.y) / zoom + high];
    const found: INode[] = [];
    const above: INode[] = [];
    for (const node of graph.nodes) {
      const at = spots[node.index];
      if (at && node.shape !== Shape.Host && at.x > left && at.x < right && at.y > top && at.y < bottom) {
        (selected.has(node.name) ? above : found).push(node);
      }
    }
    return found.concat(above);
  }

  /** Edges into running jobs, where cytoscape would need too long to draw all edges for them. */
  private _live({ graph, codes, spots, paint, zoom }: IScene): void {
    const context = this._context;
    context.beginPath();
    for (const { source, target } of graph.edges) {
      const to = graph.node(target);
      if (to && stateOf(codes[to.index] ?? 0) === 'running') {
        const from = graph.node(source);
        const [start, end] = [from && spots[from.index], spots[to.index]];
        if (start && end) {
          context.moveTo(start.x, start.y);
          context.lineTo(end.x, end.y);
        }
      }
    }
    const near = zoom > 0.12;
    context.strokeStyle = paint.live;
    context.globalAlpha = near ? 0.8 : 0.35;
    context.lineWidth = (zoom > 0.4 ? 2 : near ? 1.2 : 0.6) / zoom;
    context.stroke();
    context.globalAlpha = 1;
  }

  /** From afar: one spot of colour a job, all of a state at once. */
  private _blocks({ codes, spots, box, paint, selected, hovered, zoom }: IScene, seen: readonly INode[]): void {
    const context = this._context;
    const paths = new Map<State, Path2D>();
    const marked = new Path2D();
    for (const node of seen) {
      const at = spots[node.index] as Position;
      const state = stateOf(codes[node.index] ?? 0);
      let path = paths.get(state);
      if (!path) {
        paths.set(state, (path = new Path2D()));
      }
      block(path, at, box, 0);
      if (selected.has(node.name) || node.name === hovered) {
        block(marked, at, box, 2.5 / zoom);
      }
    }
    context.fillStyle = paint.accent;
    context.fill(marked);
    for (const [state, path] of paths) {
      const { hollow } = LOOKS[state];
      context.fillStyle = state === '' || hollow ? paint.paper : strong(state, paint.dark);
      context.fill(path);
      if (state === '' || hollow) {
        context.strokeStyle = strong(state, paint.dark);
        context.lineWidth = 1 / zoom;
        context.stroke(path);
      }
    }
  }

  private _jobs(scene: IScene, seen: readonly INode[]): void {
    const { codes, spots, selected, hovered, refused } = scene;
    for (const node of seen) {
      const code = codes[node.index] ?? 0;
      const around = node.name === refused ? 'refused' : selected.has(node.name) ? 'selected' : node.name === hovered ? 'hovered' : '';
      job(this._context, node, spots[node.index] as Position, { ...scene, state: stateOf(code), progress: progressOf(code), around });
    }
  }
}
