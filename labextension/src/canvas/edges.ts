import cytoscape, { type Collection, type Core, type EventObject, type NodeSingular, type Position } from 'cytoscape';
import edgehandles, { type IEdgehandles, type IOptions } from 'cytoscape-edgehandles';

import { edgeId } from './graph';
import type { IGraph } from './protocol';

cytoscape.use(edgehandles);

const LINGER = 4000; // milliseconds for which words are read
const TOLD = 6; // jobs of a cycle that are named

/** Say why an edge may not be drawn; '' when it may. */
export function refusal(graph: IGraph, source: string, target: string): string {
  if (!graph.node(source) || !graph.node(target)) {
    return 'an edge goes from a job to a job';
  }
  if (source === target) {
    return `${source} cannot wait for itself`;
  }
  if (graph.edge(source, target)) {
    return `${target} waits for ${source} already`;
  }
  const way = graph.path(target, source);
  return way ? `this would close a cycle: ${told([source, ...way])}` : '';
}

function told(way: readonly string[]): string {
  const shown = way.length > TOLD + 1 ? [...way.slice(0, TOLD - 2), '…', ...way.slice(-2)] : way;
  return shown.join(' → ');
}

/** What the drawing of an edge needs and does. */
export interface IDrawer {
  readonly cy: Core;
  readonly stage: HTMLElement;
  refusal(source: string, target: string): string;
  connect(source: string, target: string): void;
  /** A job was come to that is refused; null: it was left. */
  refuse(target: string | null): void;
}

/** Drawing edges with the mouse: from the handle of a job, or in draw mode from anywhere on it. */
export class Drawing {
  private readonly _handle = document.createElement('div');
  private readonly _words = document.createElement('div');
  private readonly _tool: IEdgehandles;
  private _node: NodeSingular | null = null;
  private _source: NodeSingular | null = null;
  private readonly _key = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      this.cancel();
    }
  };
  private _hiding = 0;
  private _lingering = 0;

  constructor(private readonly _drawer: IDrawer) {
    const { cy, stage } = _drawer;
    this._handle.className = 'hnb-Canvas-handle';
    this._handle.title = 'Drag to the job that shall wait for this one';
    this._handle.hidden = true;
    this._words.className = 'hnb-Canvas-words';
    this._words.setAttribute('role', 'status');
    this._words.hidden = true;
    stage.append(this._handle, this._words);
    const options: IOptions = {
      canConnect: (source, target) => !_drawer.refusal(source.id(), target.id()),
      edgeParams: (source, target) => ({ data: { id: `drawn\n${edgeId(source.id(), target.id())}`, kind: 'ok' } }),
      hoverDelay: 0,
      snap: false
    };
    this._tool = (cy as unknown as { edgehandles(options: IOptions): IEdgehandles }).edgehandles(options);
    cy.on('ehstart', (_: EventObject, source: NodeSingular) => this._begin(source));
    cy.on('ehcomplete', (_: EventObject, source: NodeSingular, target: NodeSingular, drawn: Collection) => {
      drawn.remove();
      _drawer.connect(source.id(), target.id());
    });
    cy.on('ehstop', () => this._end());
    cy.on('tapdrag', event => this.active && this._follow(event));
    this._handle.addEventListener('mousedown', event => this._grab(event));
    this._handle.addEventListener('mouseenter', () => window.clearTimeout(this._hiding));
    this._handle.addEventListener('mouseleave', () => this.offer(null));
  }

  get active(): boolean {
    return this._tool.active;
  }

  mode(on: boolean): void {
    on ? this._tool.enableDrawMode() : this._tool.disableDrawMode();
  }

  /** Show the handle at this job, or hide it soon: the way to it leads past the job's border. */
  offer(node: NodeSingular | null): void {
    window.clearTimeout(this._hiding);
    if (node) {
      this._node = node;
      this.place();
    } else {
      this._hiding = window.setTimeout(() => {
        this._node = null;
        this.place();
      }, 250);
    }
  }

  /** Put the handle where its job is now. */
  place(): void {
    const node = this._node?.inside() && !this.active ? this._node : null;
    const high = node ? node.renderedHeight() : 0;
    this._handle.hidden = high < 8;
    if (node && high >= 8) {
      const { x, y } = node.renderedPosition();
      this._handle.style.transform = `translate(${x + node.renderedWidth() / 2}px, ${y}px)`;
    }
  }

  /** Give up the edge that is being drawn. */
  cancel(): void {
    if (this.active) {
      this._tool.unpreview(this._tool.targetNode);
      this._tool.stop();
    }
  }

  dispose(): void {
    window.clearTimeout(this._hiding);
    window.clearTimeout(this._lingering);
    this.cancel();
  }

  private _grab(event: MouseEvent): void {
    if (event.button !== 0 || !this._node) {
      return;
    }
    event.stopPropagation(); // cytoscape would drag the job
    event.preventDefault();
    this._tool.start(this._node);
    window.addEventListener('mouseup', () => this._tool.stop(), { once: true });
  }

  private _begin(source: NodeSingular): void {
    this._source = source;
    this.place();
    window.addEventListener('keydown', this._key, true);
    this._drawer.stage.classList.add('hnb-mod-drawing');
  }

  private _end(): void {
    this._source = null;
    window.removeEventListener('keydown', this._key, true);
    this._drawer.stage.classList.remove('hnb-mod-drawing');
    this._drawer.refuse(null);
    this._lingering = window.setTimeout(() => (this._words.hidden = true), LINGER);
    // cytoscape tells no more that the pointer is on a job that it came to while drawing
    window.requestAnimationFrame(() => this.offer((this._drawer.cy.nodes('.hover')[0] as NodeSingular | undefined) ?? null));
  }

  private _follow(event: EventObject): void {
    const over = event.target !== this._drawer.cy && event.target.isNode?.() ? (event.target as NodeSingular) : null;
    const home = !over || over.same(this._source as NodeSingular);
    const why = over && !home ? this._drawer.refusal((this._source as NodeSingular).id(), over.id()) : '';
    this._drawer.refuse(why ? (over as NodeSingular).id() : null);
    this._tell(why, event.renderedPosition);
  }

  private _tell(why: string, at: Position): void {
    window.clearTimeout(this._lingering);
    const { clientWidth, clientHeight } = this._drawer.stage;
    this._words.hidden = !why;
    this._words.textContent = why;
    if (why) {
      const x = Math.max(4, Math.min(at.x + 14, clientWidth - this._words.offsetWidth - 4));
      const y = at.y + 18 + this._words.offsetHeight > clientHeight ? at.y - 12 - this._words.offsetHeight : at.y + 18;
      this._words.style.transform = `translate(${x}px, ${Math.max(4, y)}px)`;
    }
  }
}
