declare module 'cytoscape-edgehandles' {
  import type { Collection, Core, Ext, NodeSingular } from 'cytoscape';

  export interface IOptions {
    canConnect(source: NodeSingular, target: NodeSingular): boolean;
    edgeParams(source: NodeSingular, target: NodeSingular): object;
    hoverDelay: number;
    snap: boolean;
  }

  export interface IEdgehandles {
    readonly active: boolean;
    readonly targetNode: Collection;
    start(node: NodeSingular): void;
    stop(): void;
    unpreview(target: Collection): void;
    enableDrawMode(): void;
    disableDrawMode(): void;
  }

  const extension: Ext;
  export default extension;
}
