import type { EdgeSingular, Position } from 'cytoscape';

/** Where the control points of an edge lie, as cytoscape wants them: along the line between its ends, and beside it. */
export interface IBend {
  readonly weights: readonly number[];
  readonly distances: readonly number[];
}

const NEAR = 16;

/** Lead an edge through these points, which are told from where it leaves its source; level at each, as the SVG does. */
export function bend(points: readonly Position[]): IBend {
  const { x: across, y: down } = points[points.length - 1] as Position;
  const square = across * across + down * down || 1;
  const weights: number[] = [];
  const distances: number[] = [];
  points.forEach(({ x, y }, index) => {
    const from = points[index - 1] ?? { x: 0, y: 0 };
    const wide = x - from.x;
    const reach = wide > NEAR ? wide * 0.42 : Math.max(60, -wide * 0.35);
    for (const control of [{ x: from.x + reach, y: from.y }, { x: x - reach, y }]) {
      weights.push((control.x * across + control.y * down) / square);
      distances.push((control.y * across - control.x * down) / Math.sqrt(square));
    }
  });
  return { weights, distances };
}

/** Bend an edge anew: through these places, from the right side of its source to the left side of its target. */
export function rebend(edge: EdgeSingular, width: number, by: readonly Position[]): void {
  edge.data(bend(between(edge.source().position(), edge.target().position(), width, by)));
}

/** The points of an edge between jobs of this width, as `bend` wants them. */
export function between(source: Position, target: Position, width: number, by: readonly Position[]): Position[] {
  const left = source.x + width / 2;
  return [...by, { x: target.x - width / 2, y: target.y }].map(({ x, y }) => ({ x: x - left, y: y - source.y }));
}
