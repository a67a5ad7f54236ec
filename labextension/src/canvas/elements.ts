import type { CollectionReturnValue, Core, EdgeSingular, ElementDefinition, NodeSingular, Position } from 'cytoscape';

import { bend, between, rebend } from './bends';
import { edgeId, Graph } from './graph';
import { Shape, type IEdge, type INode, type Kind } from './protocol';
import type { IBox } from './style';

interface IHow {
  readonly box: IBox;
  readonly light: boolean;
  /** Jobs that were put elsewhere here, and stay there whatever the graph says. */
  readonly kept: ReadonlySet<string>;
}

/** What cytoscape holds of the graph: names are ids, and only what differs is changed, so that nothing flickers. */
export class Elements {
  /** Where each node stands, in the order of the graph. */
  spots: Position[] = [];
  private _box: IBox | null = null;
  private _light = false;
  private _graph = Graph.empty;
  private _live = new Set<string>();

  constructor(private readonly _cy: Core) {}

  show(graph: Graph, { box, light, kept }: IHow): void {
    const bent = !light && (this._light || box !== this._box);
    const before = this._graph;
    [this._box, this._light, this._graph] = [box, light, graph];
    const cy = this._cy;
    cy.batch(() => {
      const wanted = new Set(graph.edges.map(({ source, target }) => edgeId(source, target)));
      graph.nodes.forEach(node => wanted.add(node.name));
      cy.elements().filter(one => !wanted.has(one.id()) && !one.hasClass('eh-ghost') && !one.hasClass('eh-preview')).remove();
      const added: ElementDefinition[] = [];
      const nodes = [...graph.nodes].sort((a, b) => Number(b.shape === Shape.Host) - Number(a.shape === Shape.Host));
      nodes.forEach(node => this._node(node, graph, kept, added));
      graph.edges.forEach(edge => this._edge(edge, graph, added));
      cy.add(added);
    });
    this.spots = graph.nodes.map(node => cy.getElementById(node.name)[0]?.position() ?? { x: node.x, y: node.y });
    if (!light) {
      cy.batch(() => cy.edges().forEach(edge => void ((bent || !sameWay(edge, before, graph)) && this._bend(edge))));
    }
  }

  /** Draw an edge before the kernel has taken it. */
  connect(source: string, target: string, kind: Kind): CollectionReturnValue {
    const drawn = this._cy.add({ data: { id: edgeId(source, target), source, target, kind } });
    this._bend(drawn[0] as EdgeSingular);
    return drawn;
  }

  /** Lead the edges of a job that is dragged, and of those inside of it. */
  follow(node: NodeSingular): void {
    if (!this._light) {
      const moved = node.isParent() ? node.descendants() : node;
      this._cy.batch(() => moved.connectedEdges().forEach(edge => this._bend(edge)));
    }
  }

  /** Emphasise the edges into these jobs. */
  enliven(running: ((name: string) => boolean) | null): void {
    if (!running && !this._live.size) {
      return;
    }
    const live = new Set<string>();
    this._cy.batch(() => {
      this._cy.edges().forEach(edge => {
        if (running?.(edge.data('target') as string)) {
          live.add(edge.id());
          edge.addClass('live');
        } else if (this._live.has(edge.id())) {
          edge.removeClass('live');
        }
      });
    });
    this._live = live;
  }

  /** Put these jobs where the graph says. */
  settle(graph: Graph, names: readonly string[]): void {
    this._cy.batch(() => {
      for (const name of names) {
        const node = graph.node(name);
        if (node) {
          this._put(this._cy.getElementById(name) as unknown as NodeSingular, node);
        }
      }
    });
  }

  private _node(node: INode, graph: Graph, kept: ReadonlySet<string>, added: ElementDefinition[]): void {
    const id = node.name;
    const parent = graph.nodes[node.parent]?.name ?? null;
    const here = this._cy.getElementById(id);
    if (here.empty()) {
      const host = node.shape === Shape.Host;
      const data = { id, label: node.label, ...(parent === null ? {} : { parent }) };
      added.push({ group: 'nodes', data, position: { x: node.x, y: node.y }, classes: host ? 'host' : '' });
      return;
    }
    if ((here.data('parent') ?? null) !== parent) {
      parent === null || this._cy.getElementById(parent).nonempty() || this._cy.add(added.splice(0));
      here.move({ parent });
    }
    if (here.data('label') !== node.label) {
      here.data('label', node.label);
    }
    if (!kept.has(node.name)) {
      this._put(this._cy.getElementById(id) as unknown as NodeSingular, node);
    }
  }

  private _put(here: NodeSingular, { x, y, shape }: INode): void {
    const at = here.position();
    if (shape !== Shape.Host && !here.grabbed() && (Math.abs(at.x - x) > 0.5 || Math.abs(at.y - y) > 0.5)) {
      here.position({ x, y });
      this.follow(here);
    }
  }

  private _edge({ source, target, kind, by }: IEdge, graph: Graph, added: ElementDefinition[]): void {
    const id = edgeId(source, target);
    const here = this._cy.getElementById(id);
    if (here.nonempty()) {
      if (here.data('kind') !== kind) {
        here.data('kind', kind);
      }
      return;
    }
    const [from, to] = [graph.node(source), graph.node(target)];
    if (from && to) {
      const bent = this._light ? {} : bend(between(from, to, this._box?.width ?? 0, by));
      added.push({ group: 'edges', data: { id, source, target, kind, ...bent } });
    }
  }

  private _bend(edge: EdgeSingular): void {
    rebend(edge, this._box?.width ?? 0, this._stands(edge.source()) && this._stands(edge.target()) ? way(edge, this._graph) : []);
  }

  /** Is a job where the graph says? */
  private _stands(node: NodeSingular): boolean {
    const told = this._graph.node(node.id());
    const { x, y } = node.position();
    return told !== undefined && Math.abs(told.x - x) <= 0.5 && Math.abs(told.y - y) <= 0.5;
  }
}

function way(edge: EdgeSingular, graph: Graph): readonly Position[] {
  return graph.edge(edge.source().id(), edge.target().id())?.by ?? [];
}

function sameWay(edge: EdgeSingular, before: Graph, now: Graph): boolean {
  const [old, by] = [way(edge, before), way(edge, now)];
  return old.length === by.length && old.every(({ x, y }, i) => x === by[i]?.x && y === by[i]?.y);
}
