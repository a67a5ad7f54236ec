import type { Core, Position } from 'cytoscape';

/** What a node stands for. */
export enum Shape {
  Job = 0,
  Stack = 1,
  Host = 2
}

/** On what end of its source an edge waits. */
export type Kind = 'ok' | 'any' | 'failed';

export const KINDS: readonly Kind[] = ['ok', 'any', 'failed'];

/** The words for the codes 0 to 10 of a state; 0 is a job that no run knows. */
export const STATES = [
  '',
  'waiting',
  'submitting',
  'queued',
  'running',
  'cancelling',
  'done',
  'failed',
  'cancelled',
  'skipped',
  'lost'
] as const;

export type State = (typeof STATES)[number];

/** A job, a stack of jobs, or the box of a host. */
export interface INode {
  readonly index: number;
  readonly name: string;
  readonly x: number;
  readonly y: number;
  readonly shape: Shape;
  /** The host's name; '' when it is not told. */
  readonly host: string;
  /** How many jobs it stands for. */
  readonly count: number;
  /** The index of the box that it is in; -1 for none. */
  readonly parent: number;
  readonly label: string;
}

export interface IEdge {
  readonly source: string;
  readonly target: string;
  readonly kind: Kind;
  /** Where it passes on its way, as long as its ends stand where the graph says. */
  readonly by: readonly Position[];
}

/** The workflow as the kernel told it, read from `graph_json`. */
export interface IGraph {
  readonly serial: number;
  readonly title: string;
  readonly file: string;
  readonly run: string | null;
  readonly nodes: readonly INode[];
  readonly edges: readonly IEdge[];
  readonly hosts: readonly string[];
  /** The names of all groups (sweeps), collapsed or not. */
  readonly groups: readonly string[];
  node(name: string): INode | undefined;
  edge(source: string, target: string): IEdge | undefined;
  /** The names from `from` to `to` along the edges, both included; null when there is no way. */
  path(from: string, to: string): string[] | null;
}

export type Can = 'run' | 'cancel' | 'retry';

/** What the kernel tells of the whole: the trait `told`. */
export interface ITold {
  readonly run: string | null;
  readonly state: string;
  readonly ended: boolean;
  readonly counts: Readonly<Record<string, number>>;
  readonly elapsed: number | null;
  readonly started_at: string | null;
  readonly note: string;
  /** Why the file cannot be read now; '' when it can. */
  readonly problem: string;
  readonly can: readonly Can[];
  readonly undo: boolean;
  readonly redo: boolean;
  readonly by_host: boolean;
  readonly expanded: readonly string[];
  readonly file: string;
  readonly title: string;
}

/** What is told before anything is. */
export const UNTOLD: ITold = {
  run: null,
  state: '',
  ended: false,
  counts: {},
  elapsed: null,
  started_at: null,
  note: '',
  problem: '',
  can: [],
  undo: false,
  redo: false,
  by_host: false,
  expanded: [],
  file: '',
  title: ''
};

/** A question or a wish for the kernel: `do` and what belongs to it. */
export interface IMessage {
  readonly do: string;
  readonly [key: string]: unknown;
}

/** What the kernel answers. */
export interface IAnswer {
  readonly [key: string]: unknown;
}

export interface ISelection {
  /** Names of jobs and stacks. */
  readonly jobs: string[];
  readonly edges: [string, string][];
}

/** What the pointer is on. */
export interface IPlace {
  /** A job or stack. */
  readonly job: string | null;
  readonly edge: [string, string] | null;
  /** The host whose box it is, when no job is meant. */
  readonly host: string | null;
  /** The pointer within the board's element, in pixels. */
  readonly x: number;
  readonly y: number;
  /** The same place in the coordinates of the graph. */
  readonly at: [number, number];
}

export interface IEvents {
  /** Another graph. */
  graph: void;
  /** Other states. */
  states: void;
  /** The trait `told` changed. */
  told: void;
  /** Another selection. */
  select: void;
  /** The pointer came to something; null: it left, or something is dragged. */
  hover: IPlace | null;
  /** A right click, a long touch or the menu key; the board has prevented the browser's and JupyterLab's own menu. */
  context: IPlace;
  /** A double click on a job, or Enter with one selected. */
  open: IPlace;
  /** Drawing edges was begun or left. */
  draw: boolean;
  /** Something was refused or went wrong, in words for a person; the chrome shows it. */
  said: string;
}

/** The canvas, as its surroundings (toolbar, menu, form …) see it. */
export interface IBoard {
  readonly cy: Core;
  readonly graph: IGraph;
  /** One byte a node, in the order of `graph.nodes`. */
  readonly states: Uint8Array;
  readonly told: ITold;
  /** The host of the chrome: `position: relative`, holds the canvas, takes the keyboard's focus (tabindex 0). */
  readonly element: HTMLElement;
  selected(): ISelection;
  /** Select these jobs, and nothing else. */
  select(jobs: readonly string[]): void;
  state(name: string): State;
  /** The progress in percent of a running job; null when none is told. */
  progress(name: string): number | null;
  /** Ask the kernel; rejects with an Error whose message is the kernel's, in words for a person. */
  ask(message: IMessage): Promise<IAnswer>;
  /** Call the slot at each such event; returns what ends that. */
  on<E extends keyof IEvents>(event: E, slot: (what: IEvents[E]) => void): () => void;
  emit<E extends keyof IEvents>(event: E, what: IEvents[E]): void;
  /** Show everything, from now on also when it changes, until a person looks elsewhere. */
  fit(): void;
  /** Is everything shown, as nobody has looked elsewhere? */
  readonly auto: boolean;
  /** Something lies over the canvas now, at its right and at its bottom, in pixels. */
  cover(right: number, bottom: number): void;
  /** Bring these jobs into the middle of the view. */
  zoomTo(...names: string[]): void;
  /** In draw mode a drag from anywhere on a job draws an edge, for touch screens. */
  drawMode(on: boolean): void;
  readonly drawing: boolean;
  /** Say why an edge may not be drawn; '' when it may. */
  refusal(source: string, target: string): string;
  /** The kind that the next drawn edge gets. */
  kind: Kind;
  /** Whether JupyterLab shows a dark theme. */
  readonly dark: boolean;
}
