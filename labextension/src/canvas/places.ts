import type { EventObject } from 'cytoscape';

import type { IPlace } from './protocol';

type Where = Pick<EventObject, 'target' | 'position' | 'renderedPosition'>;

/** Say what the pointer is on, on this stage. */
export function placeOf({ target, position, renderedPosition }: Where, stage: HTMLElement): IPlace {
  const on = target.group?.() ? target : null; // cytoscape itself is of no group
  const host = on?.isNode() && on.hasClass('host');
  return {
    job: on?.isNode() && !host ? on.id() : null,
    edge: on?.isEdge() ? [on.source().id(), on.target().id()] : null,
    host: host ? String(on.data('label')) : null,
    x: renderedPosition.x + stage.offsetLeft,
    y: renderedPosition.y + stage.offsetTop,
    at: [position.x, position.y]
  };
}
