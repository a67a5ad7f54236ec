import { span } from '../../card/time';
import { Shape, STATES, type IBoard, type State } from '../protocol';
import type { Actions } from './actions';
import { badge } from './badge';
import { atEnd, button, make } from './dom';

/** How the run stands: a count for each state that there is, which selects its jobs, and the whole in words. */
export class Legend {
  readonly node = make('div', 'legend');
  private readonly _counts = make('div', 'counts');
  private readonly _whole = make('span', 'whole');
  private readonly _buttons = new Map<State, HTMLButtonElement>();

  constructor(private readonly _board: IBoard, private readonly _actions: Actions, signal: AbortSignal) {
    this._counts.setAttribute('role', 'group');
    this._counts.setAttribute('aria-label', 'Jobs by state');
    this.node.append(this._counts, this._whole);
    atEnd(signal, _board.on('told', () => this._hear()));
    atEnd(signal, _board.on('graph', () => this._hear()));
    const timer = window.setInterval(() => this._tell(), 1000);
    atEnd(signal, () => window.clearInterval(timer));
    this._hear();
  }

  private _hear(): void {
    for (const state of STATES) {
      this._count(state, state ? this._board.told.counts[state] ?? 0 : 0);
    }
    this._tell();
  }

  private _count(state: State, count: number): void {
    let made = this._buttons.get(state);
    if (!made && count) {
      made = button('count', '', `Select the jobs that are ${state}`, () => this._actions.selectState(state));
      made.append(badge(state), make('span'));
      made.dataset['state'] = state;
      this._buttons.set(state, made);
      this._place();
    }
    if (made) {
      made.hidden = !count;
      (made.lastChild as HTMLElement).textContent = `${count} ${state}`;
    }
  }

  /** Keep the counts in the order of a job's life. */
  private _place(): void {
    this._counts.append(...STATES.flatMap(state => this._buttons.get(state) ?? []));
  }

  private _tell(): void {
    const text = [this._standing, this._board.told.note].filter(Boolean).join(' · ');
    if (this._whole.textContent !== text) {
      this._whole.textContent = text;
    }
  }

  private get _standing(): string {
    const { run, state, ended, elapsed, started_at: started } = this._board.told;
    if (run === null) {
      const jobs = this._board.graph.nodes.reduce((sum, node) => sum + (node.shape === Shape.Host ? 0 : node.count), 0);
      return `${jobs} ${jobs === 1 ? 'job' : 'jobs'}, not run yet`;
    }
    const since = (Date.now() - Date.parse(started ?? '')) / 1000;
    if (ended) {
      return elapsed === null ? state : `${state} after ${span(elapsed)}`;
    }
    return Number.isNaN(since) ? state : `${state} for ${span(since)}`;
  }
}
