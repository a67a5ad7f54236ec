import type { Position } from 'cytoscape';

import { KINDS, Shape, type IEdge, type IGraph, type INode } from './protocol';

/** A workflow as the kernel told it: nodes in its order, and the ways between them. */
export class Graph implements IGraph {
  static readonly empty = new Graph({});

  /** Read the trait `graph_json`; a text that says nothing is an empty graph. */
  static read(text: unknown): Graph {
    const told: unknown = typeof text === 'string' && text ? JSON.parse(text) : {};
    return new Graph(typeof told === 'object' && told !== null ? (told as Record<string, unknown>) : {});
  }

  readonly serial: number;
  readonly title: string;
  readonly file: string;
  readonly run: string | null;
  readonly nodes: readonly INode[];
  readonly edges: readonly IEdge[];
  readonly hosts: readonly string[];
  readonly groups: readonly string[];
  /** How many nodes are jobs or stacks. */
  readonly size: number;
  private readonly _nodes = new Map<string, INode>();
  private readonly _edges = new Map<string, IEdge>();
  private readonly _children = new Map<string, string[]>();

  private constructor(told: Record<string, unknown>) {
    this.serial = Number(told['serial'] ?? 0);
    this.title = String(told['title'] ?? '');
    this.file = String(told['file'] ?? '');
    this.run = typeof told['run'] === 'string' ? told['run'] : null;
    this.hosts = list(told['hosts']).map(String);
    this.groups = names(told['groups']);
    this.nodes = list(told['nodes']).map((row, index) => node(list(row), index, this.hosts));
    this.size = this.nodes.filter(({ shape }) => shape !== Shape.Host).length;
    this.nodes.forEach(one => this._nodes.set(one.name, one));
    this.edges = list(told['edges']).flatMap(row => edge(list(row), this.nodes));
    for (const one of this.edges) {
      this._edges.set(edgeId(one.source, one.target), one);
      const children = this._children.get(one.source);
      children ? children.push(one.target) : this._children.set(one.source, [one.target]);
    }
  }

  node(name: string): INode | undefined {
    return this._nodes.get(name);
  }

  edge(source: string, target: string): IEdge | undefined {
    return this._edges.get(edgeId(source, target));
  }

  /** Put a job elsewhere: the kernel has taken a move, and the next graph says the same. */
  place(name: string, x: number, y: number): void {
    const node: { x: number; y: number } | undefined = this._nodes.get(name);
    if (node) {
      [node.x, node.y] = [x, y];
    }
  }

  path(from: string, to: string): string[] | null {
    const before = new Map<string, string | null>([[from, null]]);
    const waiting = [from];
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      if (name === to) {
        return trace(before, to);
      }
      for (const child of this._children.get(name) ?? []) {
        if (!before.has(child)) {
          before.set(child, name);
          waiting.push(child);
        }
      }
    }
    return null;
  }
}

/** The id of an edge in cytoscape; that of a node is its name. */
export function edgeId(source: string, target: string): string {
  return `${source}\n${target}`;
}

function trace(before: ReadonlyMap<string, string | null>, to: string): string[] {
  const way: string[] = [];
  for (let name: string | null | undefined = to; name; name = before.get(name)) {
    way.unshift(name);
  }
  return way;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function names(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : Object.keys((value as object | undefined) ?? {});
}

function node(row: unknown[], index: number, hosts: readonly string[]): INode {
  const [name, x, y, shape, host, count, parent, label] = row;
  return {
    index,
    name: String(name),
    x: Number(x),
    y: Number(y),
    shape: Number(shape ?? 0),
    host: hosts[Number(host)] ?? '',
    count: Number(count ?? 1),
    parent: Number(parent ?? -1),
    label: String(label || name)
  };
}

function edge([from, to, kind, ...by]: unknown[], nodes: readonly INode[]): IEdge[] {
  const [source, target] = [nodes[Number(from)], nodes[Number(to)]];
  return source && target ? [{ source: source.name, target: target.name, kind: KINDS[Number(kind)] ?? 'ok', by: points(by) }] : [];
}

function points(numbers: readonly unknown[]): Position[] {
  return Array.from({ length: numbers.length >> 1 }, (_, i) => ({ x: Number(numbers[2 * i]), y: Number(numbers[2 * i + 1]) }));
}
