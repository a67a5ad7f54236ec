import type { ReadonlyPartialJSONObject, ReadonlyPartialJSONValue } from '@lumino/coreutils';

export const MIME = 'application/vnd.hybridnb.card+json';

/** What a card is about, for programs. */
export interface IPayload {
  readonly file: string;
  readonly job: string | null;
  readonly run: string | null;
  readonly pinned: boolean; // does it stay with this run, whichever came after it?
  readonly state: string;
  readonly ended: boolean;
  readonly startedAt: number | null; // milliseconds since the epoch
}

export type Action = 'run' | 'cancel' | 'retry' | 'log';

/** What the kernel says to a card. */
export interface ISaid {
  readonly data: ReadonlyPartialJSONObject | null;
  readonly actions: ReadonlySet<string>;
  readonly log: { readonly text: string; readonly next: number; readonly ended: boolean; readonly run: string | null } | null;
  readonly error: string | null;
  /** The model of the canvas of this workflow. */
  readonly canvas: string | null;
}

export function isObject(value: unknown): value is ReadonlyPartialJSONObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function word(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** Read a payload, which may come from anybody's notebook; null when it says nothing. */
export function readPayload(value: ReadonlyPartialJSONValue | undefined): IPayload | null {
  const file = isObject(value) ? word(value['file']) : null;
  if (!isObject(value) || file === null) {
    return null;
  }
  const startedAt = Date.parse(word(value['started_at']) ?? '');
  return {
    file,
    job: word(value['job']),
    run: word(value['run']),
    pinned: value['pinned'] === true,
    state: word(value['state']) ?? '',
    ended: value['ended'] === true,
    startedAt: Number.isNaN(startedAt) ? null : startedAt
  };
}

/** Read what came over the comm. */
export function readSaid(value: ReadonlyPartialJSONObject): ISaid {
  const { data, actions, log, offset, ended, error, run, canvas } = value;
  return {
    data: isObject(data) ? data : null,
    actions: new Set(Array.isArray(actions) ? actions.map(String) : []),
    log:
      typeof log === 'string'
        ? { text: log, next: typeof offset === 'number' ? offset : 0, ended: ended === true, run: word(run) }
        : null,
    error: word(error),
    canvas: word(canvas)
  };
}
