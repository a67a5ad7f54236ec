import { after } from './after';
import { make } from './dom';
import { env, host, line, lines, params, sweep, type IField } from './fields';
import { script, type IScript } from './script';

/** A job as plain data in the words of the file. */
export type Mapping = Readonly<Record<string, unknown>>;

/** What the kernel tells of a job for its form. */
export interface ITold {
  readonly job: Mapping;
  readonly hosts: readonly string[];
  readonly jobs: readonly string[];
}

const RESOURCES: readonly (readonly [name: string, hint: string, numeric?: boolean])[] = [
  ['time', '1:30:00, 2-12 or minutes'],
  ['partition', ''],
  ['account', ''],
  ['qos', ''],
  ['constraint', ''],
  ['nodes', '1', true],
  ['ntasks', '1', true],
  ['cpus_per_task', '1', true],
  ['gpus', '1 or a100:2'],
  ['mem', '4G']
];

/** All fields of a job, filled with what the file says. */
export class Sheet {
  readonly node = make('div', 'sheet');
  private readonly _name: IField;
  private readonly _fields = new Map<string, IField>();
  private readonly _resources = new Map<string, IField>();
  private readonly _script: IScript | null;
  private readonly _first: string;

  constructor(readonly name: string, readonly told: ITold, changed: () => void) {
    const { job } = told;
    this._name = line('Name', name);
    this.node.append(this._name.node);
    this._add('host', host(job['host'], told.hosts));
    this._add('after', after(job['after'], told.jobs.filter(other => other !== name)));
    this._script = job['exec'] === undefined ? script(String(job['script'] ?? ''), 'Script', changed) : null;
    this._script ? this._write(this._script) : this._add('exec', command(job['exec']));
    this._details();
    this._first = this._now;
    this.node.addEventListener('input', changed);
    this.node.addEventListener('change', changed);
  }

  /** The name that is wished. */
  get wished(): string {
    return String(this._name.value ?? '');
  }

  /** The job as the fields have it; what has no field stays as it is. */
  get job(): Mapping {
    const out: Record<string, unknown> = { ...this.told.job };
    const put = (into: Record<string, unknown>, key: string, value: unknown) => {
      delete into[key];
      if (value !== undefined) {
        into[key] = value;
      }
    };
    this._fields.forEach((field, key) => put(out, key, field.value));
    const resources = { ...((out['resources'] as Record<string, unknown> | undefined) ?? {}) };
    this._resources.forEach((field, key) => put(resources, key, field.value));
    put(out, 'resources', Object.keys(resources).length ? resources : undefined);
    if (this._script) {
      put(out, 'script', this._script.text || undefined);
    }
    return out;
  }

  /** Has anybody written anything that is not saved? */
  get changed(): boolean {
    return this._now !== this._first;
  }

  dispose(): void {
    this._script?.dispose();
  }

  private get _now(): string {
    return JSON.stringify([this.wished, this.job]);
  }

  private _add(key: string, field: IField, into: HTMLElement = this.node): void {
    this._fields.set(key, field);
    into.append(field.node);
  }

  private _write({ node }: IScript): void {
    const part = make('div', 'field');
    part.append(make('span', 'label', 'Script'), node);
    this.node.append(part);
  }

  private _details(): void {
    const { job } = this.told;
    const has = (...keys: string[]) => keys.some(key => job[key] !== undefined);
    const varied = fold('Params and sweep', has('params', 'sweep'));
    this._add('params', params(job['params']), varied);
    this._add('sweep', sweep(job['sweep']), varied);
    const files = fold('Files', has('inputs', 'outputs'));
    this._add('inputs', lines('Inputs', job['inputs'], 'one file or pattern a line'), files);
    this._add('outputs', lines('Outputs', job['outputs'], 'one file or pattern a line'), files);
    const wanted = fold('Resources', has('resources'));
    const grid = make('div', 'grid');
    const given = (job['resources'] ?? {}) as Mapping;
    for (const [name, hint, numeric] of RESOURCES) {
      const field = line(name, given[name], hint, numeric);
      this._resources.set(name, field);
      grid.append(field.node);
    }
    const more = lines('sbatch', given['sbatch'], 'more options of sbatch, one a line');
    this._resources.set('sbatch', more);
    wanted.append(grid, more.node);
    const failing = fold('Retries and environment', has('retries', 'timeout', 'env'));
    const pair = make('div', 'grid');
    this._add('retries', line('Retries', job['retries'], '0', true), pair);
    this._add('timeout', line('Timeout', job['timeout'], 'seconds, 10m, 2h', true), pair);
    failing.append(pair);
    this._add('env', env(job['env']), failing);
    this.node.append(varied, files, wanted, failing);
  }
}

/** The command of a job without a script: one text for the shell, or its words, one a line. */
function command(exec: unknown): IField {
  return Array.isArray(exec) ? lines('Command, one word a line (exec)', exec) : line('Command (exec)', exec);
}

function fold(title: string, open: boolean): HTMLElement {
  const made = make('details', 'fold');
  made.open = open;
  made.append(make('summary', '', title));
  return made;
}
