import { Shape, type IAnswer, type IBoard, type IMessage, type ISelection, type Kind, type State } from '../protocol';
import { atEnd, words } from './dom';
import type { Icon } from './icons';

/** What can be opened around the canvas. */
export interface IOpener {
  form(name: string): void;
  log(name: string): void;
  add(place: [number, number] | null): void;
  search(): void;
}

export type Act =
  | 'run' | 'runSelected' | 'runFrom' | 'retryFailed' | 'cancel'
  | 'add' | 'connect' | 'remove' | 'undo' | 'redo'
  | 'tidy' | 'fit' | 'byHost' | 'save' | 'selectAll';

/** A thing to do, as buttons and menus show it. */
export interface IAction {
  readonly label: string;
  readonly title: string;
  readonly icon: Icon;
  readonly able: () => boolean;
  readonly act: () => unknown;
}

const GOING: readonly State[] = ['waiting', 'submitting', 'queued', 'running', 'cancelling'];
const ENDED_BADLY: readonly State[] = ['failed', 'cancelled', 'skipped', 'lost'];

/** What a person can do with a canvas, whichever way it is asked for. */
export class Actions {
  readonly all: Readonly<Record<Act, IAction>>;

  private _selection: ISelection;

  constructor(private readonly _board: IBoard, readonly open: IOpener, signal: AbortSignal) {
    this._selection = _board.selected();
    const look = () => (this._selection = _board.selected()); // kept, as it takes long where there are many edges
    atEnd(signal, _board.on('select', look));
    atEnd(signal, _board.on('graph', look));
    const can = (what: 'run' | 'cancel' | 'retry') => () => _board.told.can.includes(what);
    const any = () => _board.graph.nodes.length > 0;
    const jobs = () => this._selection.jobs;
    const edges = () => this._selection.edges;
    const some = () => jobs().length > 0;
    const of = (icon: Icon, label: string, title: string, able: () => boolean, act: () => unknown): IAction =>
      ({ icon, label, title, able, act });
    this.all = {
      run: of('run', 'Run', 'Run the workflow: what is not done yet', can('run'), () => this.run({})),
      runSelected: of('some', 'Run selection', 'Run the selected jobs, and what they wait for', () => can('run')() && some(), () =>
        this.run({ jobs: jobs() })),
      runFrom: of('from', 'Run from here', 'Run the selected job again, and all that comes after it', () =>
        can('run')() && jobs().length === 1, () => this.run({ from: jobs()[0] })),
      retryFailed: of('again', 'Try failed again', 'Try again what failed, was cancelled or lost', can('retry'), () =>
        this.ask({ do: 'retry' })),
      cancel: of('cancel', 'Cancel', 'Cancel the whole run', can('cancel'), () => this.ask({ do: 'cancel' })),
      add: of('add', 'Add job', 'Add a job; it waits for the selected ones', () => true, () => open.add(null)),
      connect: of('connect', 'Connect mode', 'Draw edges by dragging from one job to another', any, () =>
        _board.drawMode(!_board.drawing)),
      remove: of('remove', 'Delete', 'Delete what is selected (Delete)', () => some() || edges().length > 0, () =>
        this.remove(jobs(), edges())),
      undo: of('undo', 'Undo', 'Undo the last edit (Ctrl+Z)', () => _board.told.undo, () => this.ask({ do: 'undo' })),
      redo: of('redo', 'Redo', 'Do again what was undone (Ctrl+Shift+Z)', () => _board.told.redo, () => this.ask({ do: 'redo' })),
      tidy: of('tidy', 'Tidy', 'Lay out all jobs anew', any, () => this.tidy()),
      fit: of('fit', 'Fit', 'Show everything (F)', any, () => _board.fit()),
      byHost: of('host', 'Group by host', 'Put the jobs of each host into a box', any, () =>
        this.ask({ do: 'by_host', on: !_board.told.by_host })),
      save: of('save', 'Save as SVG', 'Save the picture as an SVG file', any, () => this.save()),
      selectAll: of('fit', 'Select all', 'Select all jobs (Ctrl+A)', any, () => this.selectAll())
    };
  }

  /** Do it if it can be done now; tell whether it was. */
  act(what: Act): boolean {
    const action = this.all[what];
    if (action.able()) {
      action.act();
    }
    return action.able();
  }

  /** Ask the kernel, and say what went wrong; null when something did. */
  async ask(message: IMessage): Promise<IAnswer | null> {
    this._board.emit('said', ''); // what was said was about something else
    try {
      return await this._board.ask(message);
    } catch (error) {
      this._board.emit('said', words(error));
      return null;
    }
  }

  run(what: { jobs?: string[]; from?: string | undefined }): void {
    void this.ask({ do: 'run', ...what });
  }

  remove(jobs: readonly string[], edges: readonly [string, string][]): void {
    void this.ask({ do: 'remove', jobs, edges });
  }

  connect(source: string, target: string, kind: Kind): void {
    void this.ask({ do: 'connect', source, target, kind });
  }

  expand(group: string, on: boolean): void {
    void this.ask({ do: 'expand', group, on });
  }

  goes(job: string): boolean {
    const state = this._board.state(job);
    const some = state === 'failed' && this._board.graph.node(job)?.shape === Shape.Stack; // the others may go on
    return this._board.told.can.includes('cancel') && (some || GOING.includes(state));
  }

  endedBadly(job: string): boolean {
    return this._board.told.run !== null && ENDED_BADLY.includes(this._board.state(job));
  }

  selectAll(): void {
    this._board.select(this._board.graph.nodes.filter(node => node.shape !== Shape.Host).map(node => node.name));
  }

  selectState(state: string): void {
    const nodes = this._board.graph.nodes.filter(node => node.shape !== Shape.Host && this._board.state(node.name) === state);
    this._board.select(nodes.map(node => node.name));
  }

  async tidy(): Promise<void> {
    if (await this.ask({ do: 'tidy' })) {
      this._board.fit();
    }
  }

  /** Have the picture drawn by the kernel, and hand it to the browser as a download. */
  async save(): Promise<void> {
    const answer = await this.ask({ do: 'svg' });
    if (answer) {
      const address = URL.createObjectURL(new Blob([String(answer['svg'])], { type: 'image/svg+xml' }));
      const link = document.createElement('a');
      const file = this._board.graph.file.split(/[\\/]/).pop() ?? '';
      link.href = address;
      link.download = `${file.replace(/\.ya?ml$/i, '') || 'workflow'}.svg`;
      link.click();
      window.setTimeout(() => URL.revokeObjectURL(address), 10_000);
    }
  }
}
