import { Shape, type IAnswer, type IBoard, type INode } from '../protocol';
import { atEnd, make } from './dom';
import { Veil } from './veil';

/** The field that finds jobs by their names, hosts and labels: what does not match fades while one types. */
export class Search {
  readonly node = make('div', 'search');
  private readonly _field = make('input', 'input');
  private readonly _count = make('span', 'found');
  private readonly _veil: Veil;
  private _at = -1;
  private _within: ReadonlySet<string> = new Set(); // stacks in which the kernel has found jobs
  private _turn = 0;

  constructor(private readonly _board: IBoard, signal: AbortSignal) {
    this._veil = new Veil(_board, signal);
    this._field.type = 'search';
    this._field.placeholder = 'Search jobs';
    this._field.title = 'Search jobs by name or host (/); Enter goes to the next';
    this._field.setAttribute('aria-label', 'Search jobs');
    this._count.setAttribute('role', 'status');
    this.node.append(this._field, this._count);
    this._field.addEventListener('input', () => this._start());
    this._field.addEventListener('keydown', event => this._key(event));
    atEnd(signal, _board.on('graph', () => this._fade()));
  }

  focus(): void {
    this._field.focus();
    this._field.select();
  }

  private get _matches(): readonly INode[] {
    const wanted = this._field.value.trim().toLowerCase();
    const says = (node: INode) =>
      this._within.has(node.name) || [node.name, node.host, node.label].some(text => text.toLowerCase().includes(wanted));
    return wanted ? this._board.graph.nodes.filter(node => node.shape !== Shape.Host && says(node)) : [];
  }

  private _start(): void {
    this._at = -1;
    this._within = new Set();
    this._fade();
    void this._lookWithin();
  }

  /** Ask for the jobs of stacks, which are not drawn. */
  private async _lookWithin(): Promise<void> {
    const [text, turn] = [this._field.value.trim(), ++this._turn];
    if (text && this._board.graph.nodes.some(node => node.shape === Shape.Stack)) {
      const { found } = await this._board.ask({ do: 'find', text }).catch(() => ({ found: {} }) as IAnswer);
      if (turn === this._turn) {
        this._within = new Set(Object.keys((found ?? {}) as object));
        this._fade();
      }
    }
  }

  private _key(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.key === 'Enter') {
      this._go(event.shiftKey ? -1 : 1);
    } else if (event.key === 'Escape') {
      event.preventDefault();
      this._field.value = '';
      this._start();
      this._board.element.focus();
    }
  }

  /** Select the next match, or the one before. */
  private _go(step: number): void {
    const matches = this._matches;
    if (matches.length) {
      this._at = (this._at < 0 && step < 0 ? matches.length : this._at) + step;
      this._at = (this._at + matches.length) % matches.length;
      const { name } = matches[this._at] as INode;
      this._board.select([name]);
      this._board.zoomTo(name);
    }
    this._tell(matches.length);
  }

  private _fade(): void {
    const matches = this._matches;
    this._veil.cover(this._field.value.trim() ? new Set(matches.map(node => node.name)) : null);
    this._tell(matches.length);
  }

  private _tell(count: number): void {
    const at = this._at >= 0 ? `${this._at + 1} of ` : '';
    this._count.textContent = this._field.value.trim() ? (count ? `${at}${count}` : 'none') : '';
  }
}
