import type { IEvents } from './protocol';

type Slot<E extends keyof IEvents> = (what: IEvents[E]) => void;

/** Who is called at what. */
export class Events {
  private readonly _slots: { [E in keyof IEvents]?: Set<Slot<E>> } = {};

  on<E extends keyof IEvents>(event: E, slot: Slot<E>): () => void {
    const slots = (this._slots[event] ??= new Set() as never) as Set<Slot<E>>;
    slots.add(slot);
    return () => void slots.delete(slot);
  }

  emit<E extends keyof IEvents>(event: E, what: IEvents[E]): void {
    (this._slots[event] as Set<Slot<E>> | undefined)?.forEach(slot => slot(what));
  }
}
