import type { EdgeSingular } from 'cytoscape';

/** Where the two control points of an edge lie, as cytoscape wants them: along its line, and beside it. */
export interface IBend {
  readonly weights: readonly [number, number];
  readonly distances: readonly [number, number];
}

const NEAR = 16;

/** Lead an edge of this extent level out of its source and level into its target. */
export function bend(across: number, down: number): IBend {
  const reach = across > NEAR ? across * 0.42 : Math.max(60, -across * 0.35);
  const square = across * across + down * down || 1;
  const along = (reach * across) / square;
  const beside = (-reach * down) / Math.sqrt(square);
  return { weights: [along, 1 - along], distances: [beside, -beside] };
}

/** Bend an edge anew after one of its ends has moved. */
export function rebend(edge: EdgeSingular, width: number): void {
  const [from, to] = [edge.source().position(), edge.target().position()];
  edge.data(bend(to.x - from.x - width, to.y - from.y));
}
