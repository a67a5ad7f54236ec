import { KINDS, Shape, type IBoard, type IPlace } from '../protocol';
import type { Actions } from './actions';
import { atEnd } from './dom';
import { Menu, type IItem } from './menu';
import { groupOf } from './groups';
import { MEANINGS } from './toolbar';

const LINE: IItem = { label: '' };

/** The menu of what the pointer is on: a job, a stack, an edge or nothing. */
export class Context {
  private readonly _menu = new Menu();

  constructor(private readonly _board: IBoard, private readonly _actions: Actions, signal: AbortSignal) {
    atEnd(signal, _board.on('context', place => this._open(place)));
    atEnd(signal, _board.on('graph', () => this._menu.close())); // what it speaks of may be gone
    atEnd(signal, () => this._menu.close());
  }

  private _open(place: IPlace): void {
    const { left, top } = this._board.element.getBoundingClientRect();
    const [label, items] = this._lines(place);
    this._menu.open(label, items, left + place.x, top + place.y, this._board.element);
  }

  private _lines(place: IPlace): [label: string, items: IItem[]] {
    const { job, edge } = place;
    if (job !== null) {
      return [job, this._ofJob(job)];
    }
    return edge ? [edge.join(' → '), this._ofEdge(edge)] : ['Workflow', this._ofAll(place)];
  }

  private _ofJob(job: string): IItem[] {
    const selected = this._board.selected().jobs;
    const jobs = selected.includes(job) ? selected : [job];
    const many = jobs.length > 1;
    const these = many ? `these ${jobs.length} jobs` : 'this job';
    const { told } = this._board;
    const able = (what: 'run' | 'cancel' | 'retry') => told.can.includes(what);
    return tidy([
      { label: many ? `${jobs.length} jobs` : job },
      ...(many ? [] : this._openings(job)),
      LINE,
      ...(able('run') ? [{ label: `Run ${these}`, act: () => this._actions.run({ jobs }) }] : []),
      ...(able('run') && !many ? [{ label: 'Run from here', act: () => this._actions.run({ from: job }) }] : []),
      ...(able('retry') && jobs.some(one => this._actions.endedBadly(one))
        ? [{ label: 'Try again', act: () => this._actions.ask({ do: 'retry', jobs }) }]
        : []),
      ...(jobs.some(one => this._actions.goes(one))
        ? [{ label: `Cancel ${these}`, act: () => this._actions.ask({ do: 'cancel', jobs }) }]
        : []),
      LINE,
      ...(many ? [] : this._foldings(job)),
      LINE,
      { label: `Delete ${these}`, act: () => this._actions.remove(jobs, []), danger: true }
    ]);
  }

  private _openings(job: string): IItem[] {
    const { open } = this._actions;
    const log = { label: 'Log and outputs', act: () => open.log(job) };
    return [{ label: 'Open …', act: () => open.form(job) }, ...(this._board.graph.node(job)?.shape === Shape.Job ? [log] : [])];
  }

  private _foldings(job: string): IItem[] {
    const node = this._board.graph.node(job);
    if (node?.shape === Shape.Stack) {
      return [{ label: `Expand to ${node.count} jobs`, act: () => this._actions.expand(job, true) }];
    }
    const group = groupOf(this._board, job);
    return group === null ? [] : [this._folding(group)];
  }

  private _folding(group: string): IItem {
    return { label: `Collapse ${group}`, act: () => this._actions.expand(group, false) };
  }

  private _ofEdge([source, target]: [string, string]): IItem[] {
    const present = this._board.graph.edge(source, target)?.kind;
    return [
      { label: `${target} runs, after ${source}:` },
      ...KINDS.map(kind => ({
        label: `${MEANINGS[kind]} (${kind})`,
        checked: kind === present,
        act: () => this._actions.connect(source, target, kind)
      })),
      LINE,
      { label: 'Delete this edge', act: () => this._actions.remove([], [[source, target]]), danger: true }
    ];
  }

  private _ofAll(place: IPlace): IItem[] {
    const { all, open } = this._actions;
    const has = this._board.graph.nodes.length > 0;
    return tidy([
      { label: 'Add a job here …', act: () => open.add(place.at) },
      LINE,
      ...(has ? [all.fit, all.tidy, all.selectAll].map(({ label, act }) => ({ label, act })) : []),
      LINE,
      ...this._board.told.expanded.map(group => this._folding(group)),
      LINE,
      ...[all.undo, all.redo].filter(action => action.able()).map(({ label, act }) => ({ label, act }))
    ]);
  }
}

/** Leave no line at an end or beside another. */
function tidy(items: readonly IItem[]): IItem[] {
  const kept: IItem[] = [];
  for (const item of items) {
    if (item !== LINE || (kept.length && kept[kept.length - 1] !== LINE)) {
      kept.push(item);
    }
  }
  return kept[kept.length - 1] === LINE ? kept.slice(0, -1) : kept;
}
