import type { NodeSingular } from 'cytoscape';

import type { IMessage } from './protocol';

type Places = Map<string, [number, number]>;

/** What the telling of moves needs and does. */
export interface IMover {
  ask(message: IMessage): Promise<unknown>;
  /** The kernel has taken it. */
  taken(places: ReadonlyMap<string, [number, number]>): void;
  /** These jobs stand where the graph says, as nothing of them is on its way any more. */
  settle(names: readonly string[]): void;
  said(why: string): void;
}

/** Moves of jobs on their way to the kernel: what is dragged together is told in one message. */
export class Moves {
  private _next: Places | null = null;
  private readonly _asked = new Map<string, number>();

  constructor(private readonly _mover: IMover) {}

  /** The jobs of which the kernel does not know yet where they are. */
  get pending(): ReadonlySet<string> {
    return new Set(this._asked.keys());
  }

  /** A job, or a box with jobs, was put somewhere. */
  put(node: NodeSingular): void {
    if (!this._next) {
      this._next = new Map();
      queueMicrotask(() => void this._tell());
    }
    for (const one of node.isParent() ? node.descendants() : [node]) {
      const { x, y } = one.position();
      this._next.set(one.id(), [Math.round(x), Math.round(y)]);
    }
  }

  private async _tell(): Promise<void> {
    const places: Places = this._next ?? new Map();
    this._next = null;
    places.forEach((_, name) => this._asked.set(name, (this._asked.get(name) ?? 0) + 1));
    try {
      await this._mover.ask({ do: 'move', places: Object.fromEntries(places) });
      this._mover.taken(places);
    } catch (error) {
      this._mover.said((error as Error).message);
    }
    for (const name of places.keys()) {
      const more = (this._asked.get(name) ?? 1) - 1;
      more ? this._asked.set(name, more) : this._asked.delete(name);
    }
    this._mover.settle([...places.keys()].filter(name => !this._asked.has(name)));
  }
}
