import { KINDS, type Kind } from '../protocol';
import { choice, make } from './dom';
import { rows, type IField } from './fields';
import { MEANINGS } from './toolbar';

let lists = 0;

/** What a job waits for: other jobs, and which end of each. */
export function after(value: unknown, jobs: readonly string[]): IField {
  const known = make('datalist');
  known.id = `hnb-jobs-${++lists}`;
  jobs.forEach(job => known.append(new Option(job)));
  const given = (Array.isArray(value) ? value : value === undefined ? [] : [value]).map(String);
  const part = rows<string>('After', given, 'Wait for a job', one => {
    const [name, kind] = split(one ?? '');
    const input = make('input', 'input');
    const kinds = choice(KINDS.map(each => [each, MEANINGS[each]] as const), kind);
    input.value = name;
    input.placeholder = 'job';
    input.spellcheck = false;
    input.setAttribute('list', known.id);
    input.setAttribute('aria-label', 'After: job');
    kinds.setAttribute('aria-label', `After: which end of ${name || 'the job'}`);
    return { nodes: [input, kinds], read: () => join(input.value.trim(), kinds.value as Kind) };
  });
  part.node.append(known);
  return {
    node: part.node,
    get value() {
      return part.found.length ? part.found : undefined;
    }
  };
}

function split(text: string): [string, Kind] {
  const [name, kind] = text.split(':') as [string, string | undefined];
  return [name, KINDS.find(each => each === kind) ?? 'ok'];
}

function join(name: string, kind: Kind): string | null {
  return name ? (kind === 'ok' ? name : `${name}:${kind}`) : null;
}
