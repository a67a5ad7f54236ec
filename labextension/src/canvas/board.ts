import cytoscape, { type Core, type EventObject, type NodeSingular, type Position } from 'cytoscape';

import { Drawing, refusal } from './edges';
import { Elements } from './elements';
import { Events } from './events';
import { Graph } from './graph';
import type { CanvasModel } from './model';
import { Moves } from './moves';
import { placeOf } from './places';
import { Painter, progressOf, stateOf } from './painter';
import { UNTOLD, type IAnswer, type IBoard, type IMessage, type IPlace, type ISelection, type ITold, type Kind, type State } from './protocol';
import { around, boxFor, LIGHT, readPaint, sheet } from './style';

const CLOSEST = 1.1; // the zoom at which a small workflow is shown
const FARTHEST = 0.01;
const MARGIN = 28;
const LEAST = 120; // pixels in which a graph is shown beside a form or a log
const TALLEST = 640; // pixels that a canvas takes by itself; a person can pull it taller

/** The canvas: cytoscape for edges, pointer and view, and above it the painter for jobs. */
export class Board extends Events implements IBoard {
  readonly cy: Core;
  graph = Graph.empty;
  states = new Uint8Array();
  kind: Kind = 'ok';
  drawing = false;
  private readonly _stage = document.createElement('div');
  private readonly _painter = new Painter();
  private readonly _elements: Elements;
  private readonly _drawing: Drawing;
  private readonly _selected = new Set<string>();
  private readonly _watchers: { disconnect(): void }[] = [];
  private readonly _moves: Moves;
  private _paint = readPaint();
  private _box = boxFor(0);
  private _light = false;
  private _hovered: string | null = null;
  private _refused: string | null = null;
  private _frame = 0;
  private _grown = false;
  private _fitting = false;
  private _covered = { right: 0, bottom: 0 };
  private _auto = true; // everything is shown, until a person looks elsewhere
  private _selecting = false;

  constructor(
    private readonly _model: CanvasModel,
    readonly element: HTMLElement
  ) {
    super();
    element.tabIndex = 0;
    element.dataset['lmSuppressShortcuts'] = 'true';
    this._stage.className = 'hnb-Canvas-stage';
    element.append(this._stage);
    this.cy = cytoscape({ container: this._stage, minZoom: FARTHEST, maxZoom: 4, boxSelectionEnabled: true, layout: { name: 'preset' } });
    this._stage.append(this._painter.canvas);
    this._elements = new Elements(this.cy);
    this._drawing = new Drawing({
      cy: this.cy,
      stage: this._stage,
      refusal: (source, target) => this.refusal(source, target),
      connect: (source, target) => void this._connect(source, target),
      refuse: target => this._refuse(target)
    });
    this._moves = new Moves({
      ask: message => this.ask(message),
      taken: places => places.forEach(([x, y], name) => this.graph.place(name, x, y)),
      settle: names => this._elements.settle(this.graph, names),
      said: why => this.emit('said', why)
    });
    this._listen();
    this._watch();
    this._showGraph();
    this._showStates();
  }

  get told(): ITold {
    return { ...UNTOLD, ...(this._model.get('told') as Partial<ITold>) };
  }

  get dark(): boolean {
    return this._paint.dark;
  }

  selected(): ISelection {
    const edges = this.cy.edges(':selected').map((edge): [string, string] => [edge.source().id(), edge.target().id()]);
    return { jobs: [...this._selected], edges };
  }

  select(jobs: readonly string[]): void {
    this.cy.batch(() => {
      this.cy.elements(':selected').unselect();
      jobs.forEach(name => this.cy.getElementById(name).select());
    });
  }

  state(name: string): State {
    return stateOf(this.states[this.graph.node(name)?.index ?? -1] ?? 0);
  }

  progress(name: string): number | null {
    return progressOf(this.states[this.graph.node(name)?.index ?? -1] ?? 0);
  }

  ask(message: IMessage): Promise<IAnswer> {
    return this._model.ask(message);
  }

  fit(): void {
    this._auto = this._fitting = true;
    this._fit(this._elements.spots);
    this._fitting = false;
  }

  zoomTo(...names: string[]): void {
    this._fit(names.flatMap(name => this._elements.spots[this.graph.node(name)?.index ?? -1] ?? []));
  }

  get auto(): boolean {
    return this._auto;
  }

  cover(right: number, bottom: number): void {
    this._covered = { right, bottom };
    if (this._auto) {
      this.fit();
    }
  }

  drawMode(on: boolean): void {
    if (on !== this.drawing) {
      this.drawing = on;
      this._drawing.mode(on);
      this.emit('draw', on);
    }
  }

  refusal(source: string, target: string): string {
    return refusal(this.graph, source, target);
  }

  dispose(): void {
    window.cancelAnimationFrame(this._frame);
    this._watchers.forEach(watcher => watcher.disconnect());
    this._drawing.dispose();
    this.cy.destroy();
  }

  private _listen(): void {
    const { cy } = this;
    cy.on('render', () => this._paintNow());
    cy.on('select unselect remove', event => this._select(event));
    cy.on('mouseover', 'node, edge', event => this._hover(event));
    cy.on('mouseout', 'node, edge', event => this._leave(event));
    cy.on('cxttap taphold', event => this._context(event));
    cy.on('dbltap', 'node', event => this.emit('open', this._place(event)));
    cy.on('grab', () => this.emit('hover', null));
    cy.on('viewport drag', () => void (this._auto &&= this._fitting));
    cy.on('drag', 'node', event => this._elements.follow(event.target as NodeSingular));
    cy.on('dragfree', 'node', event => this._moves.put(event.target as NodeSingular));
    for (const type of ['pointermove', 'pointerdown', 'wheel']) {
      this._stage.addEventListener(type, () => this._locate(), { capture: true, passive: true });
    }
    this._stage.addEventListener('pointerleave', () => this._left());
    this._stage.addEventListener('contextmenu', event => (event.preventDefault(), event.stopPropagation()));
    this._stage.addEventListener('mousedown', () => this.element.focus({ preventScroll: true }), true);
    this._stage.addEventListener('wheel', event => this._wheel(event), { capture: true, passive: true });
    this.element.addEventListener('keydown', event => event.target === this.element && this._key(event));
  }

  private _watch(): void {
    const sizes = new ResizeObserver(() => this._resize());
    sizes.observe(this._stage);
    const theme = new MutationObserver(() => this._restyle());
    theme.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-light', 'data-jp-theme-name'] });
    const traits: [string, () => void][] = [
      ['change:graph_json', () => this._showGraph()],
      ['change:states', () => this._showStates()],
      ['change:told', () => this.emit('told', undefined)]
    ];
    traits.forEach(([event, slot]) => this._model.on(event, slot));
    const ears = { disconnect: () => traits.forEach(([event, slot]) => this._model.off(event, slot)) };
    this._watchers.push(sizes, theme, ears);
  }

  private _showGraph(): void {
    const before = this.graph.size;
    this.graph = Graph.read(this._model.get('graph_json'));
    const [box, light] = [boxFor(this.graph.size), this.graph.nodes.length > LIGHT];
    const restyled = box !== this._box || light !== this._light || !before;
    [this._box, this._light] = [box, light];
    if (restyled) {
      this._restyle(); // first, as a style costs most where there are elements
    }
    this._elements.show(this.graph, { box, light, kept: this._moves.pending });
    this.element.setAttribute('aria-label', `Workflow ${this.graph.title}: ${this.graph.size} jobs and stacks`);
    if (this._auto && (!before || !this._showsAll())) {
      this._resize();
    }
    this._enliven();
    this._schedule();
    this.emit('graph', undefined);
  }

  private _showStates(): void {
    this.states = this._model.codes;
    this._enliven();
    this._schedule();
    this.emit('states', undefined);
  }

  /** Mark the edges into running jobs. The painter does it when there are many edges. */
  private _enliven(): void {
    this._elements.enliven(this._light ? null : name => this.state(name) === 'running');
  }

  private _restyle(): void {
    this._paint = readPaint();
    this.element.classList.toggle('hnb-mod-dark', this._paint.dark);
    this.cy.style(sheet(this._paint, this._box, this._light));
    const renderer = (this.cy as unknown as { renderer(): Record<string, unknown> }).renderer();
    renderer['textureOnViewport'] = this._light;
    renderer['forcedPixelRatio'] = this._light ? 1 : null;
    this.cy.resize();
    this._schedule();
  }

  private _resize(): void {
    const { clientWidth, clientHeight } = this._stage;
    if (clientWidth && clientHeight) {
      this._grow(clientWidth, clientHeight);
      this.cy.resize();
      this._painter.resize(clientWidth, clientHeight);
      if (this._auto) {
        this.fit();
      }
      this._paintNow();
    }
  }

  /** Take more height at the beginning, where a graph could not be read otherwise. */
  private _grow(wide: number, high: number): void {
    if (!this._grown && this.graph.size) {
      this._grown = true;
      const { x1, y1, x2, y2 } = around(this._elements.spots, this._box);
      const missing = (y2 - y1) * Math.min(1, (wide - 2 * MARGIN) / (x2 - x1)) + 2 * MARGIN - high;
      if (missing > 0) { // by a word of ours, as ipywidgets takes an element's own height away
        this.element.style.setProperty('--hnb-height', `${Math.min(TALLEST, this.element.offsetHeight + missing)}px`);
      }
    }
  }

  private _fit(spots: readonly Position[]): void {
    if (spots.length) {
      const { right, bottom } = this._covered;
      const wide = left(this.cy.width(), right);
      const high = left(this.cy.height(), bottom);
      const { x1, y1, x2, y2 } = around(spots, this._box);
      const zoom = Math.min(CLOSEST, Math.max(FARTHEST, Math.min((wide - 2 * MARGIN) / (x2 - x1), (high - 2 * MARGIN) / (y2 - y1))));
      this.cy.viewport({ zoom, pan: { x: wide / 2 - (zoom * (x1 + x2)) / 2, y: high / 2 - (zoom * (y1 + y2)) / 2 } });
    }
  }

  private _showsAll(): boolean {
    const { x1, y1, x2, y2 } = around(this._elements.spots, this._box);
    const seen = this.cy.extent();
    return seen.x1 <= x1 && seen.y1 <= y1 && x2 <= seen.x2 && y2 <= seen.y2;
  }

  private _schedule(): void {
    this._frame ||= window.requestAnimationFrame(() => this._paintNow());
  }

  private _paintNow(): void {
    window.cancelAnimationFrame(this._frame);
    this._frame = 0;
    this._painter.paint({
      graph: this.graph,
      codes: this.states,
      spots: this._elements.spots,
      box: this._box,
      light: this._light,
      paint: this._paint,
      zoom: this.cy.zoom(),
      pan: this.cy.pan(),
      selected: this._selected,
      hovered: this._hovered,
      refused: this._refused
    });
    this._drawing.place();
  }

  private _select({ type, target }: EventObject): void {
    if (target.isNode?.()) {
      type === 'select' ? this._selected.add(target.id()) : this._selected.delete(target.id());
    }
    if (!this._selecting) {
      this._selecting = true;
      queueMicrotask(() => {
        this._selecting = false;
        this._schedule();
        this.emit('select', undefined);
      });
    }
  }

  private _hover(event: EventObject): void {
    const place = this._place(event);
    this._hovered = place.job;
    event.target.addClass('hover');
    this._schedule();
    if (place.job && !this._drawing.active) {
      this._drawing.offer(event.target as NodeSingular);
    }
    this.emit('hover', this._drawing.active ? null : place);
  }

  private _leave(event: EventObject): void {
    this._hovered = null;
    event.target.removeClass('hover');
    this._schedule();
    this._drawing.offer(null);
    this.emit('hover', null);
  }

  /** cytoscape does not see a pointer that leaves the canvas at once, and would take it for still there when it comes back. */
  private _left(): void {
    if (!this._drawing.active) {
      this.cy.elements('.hover').emit('mouseout');
      (this.cy as unknown as { renderer(): { hoverData: { last: unknown } } }).renderer().hoverData.last = null;
    }
  }

  private _refuse(target: string | null): void {
    if (target !== this._refused) {
      this._refused = target;
      this._schedule();
    }
  }

  private _context(event: EventObject): void {
    const touched = /^touch|pen/.test((event.originalEvent as Event | undefined)?.type ?? '');
    if (event.type === 'taphold' && !touched) {
      return;
    }
    if (event.target !== this.cy && !event.target.selected()) {
      this.select([]);
      event.target.select();
    }
    this.emit('context', this._place(event));
  }

  private _place(event: EventObject): IPlace {
    return placeOf(event, this._stage);
  }

  /** Let cytoscape find out anew where on the page it is: what is above it may have grown. */
  private _locate(): void {
    (this.cy as unknown as { renderer(): { invalidateContainerClientCoordsCache(): void } }).renderer().invalidateContainerClientCoordsCache();
  }

  /** Scroll the notebook past a canvas that nobody uses; the wheel zooms once it was clicked, or with Ctrl. */
  private _wheel(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey && !this.element.contains(document.activeElement)) {
      event.stopPropagation();
    }
  }

  private _key(event: KeyboardEvent): void {
    const name = [...this._selected].pop();
    const node = name && this.cy.getElementById(name);
    if (!node || !node.length || !(event.key === 'Enter' || event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey))) {
      return;
    }
    event.preventDefault();
    const place = { target: node, renderedPosition: node.renderedPosition(), position: node.position() } as unknown as EventObject;
    this.emit(event.key === 'Enter' ? 'open' : 'context', this._place(place));
  }

  private async _connect(source: string, target: string): Promise<void> {
    const drawn = this._elements.connect(source, target, this.kind);
    try {
      await this.ask({ do: 'connect', source, target, kind: this.kind });
    } catch (error) {
      if (!this.graph.edge(source, target)) {
        drawn.remove();
      }
      this.emit('said', (error as Error).message);
    }
  }
}

/** What is left of the room beside what covers it; where that is next to nothing, all of it. */
function left(room: number, covered: number): number {
  return room - covered > LEAST ? room - covered : room;
}
