import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

import { MODULE, VERSION } from './version';

/** The canvas: a widget whose code is fetched when the first one is shown. */
export const canvas: JupyterFrontEndPlugin<void> = {
  id: 'hybridnb:canvas',
  description: 'Shows workflows as a graph that is edited with the mouse and watched live.',
  autoStart: true,
  activate: async (app: JupyterFrontEnd) => {
    // Not imported above: where there is no widget manager, the cards still work.
    const base = await import('@jupyter-widgets/base').catch(() => null);
    const registry = base && (await app.resolveOptionalService(base.IJupyterWidgetRegistry));
    registry?.registerWidget({ name: MODULE, version: VERSION, exports: load as never });
  }
};

/** Fetch the code of the canvas. */
export async function load(): Promise<object> {
  const [model, view] = await Promise.all([import('./model'), import('./view')]);
  return { CanvasModel: model.CanvasModel, CanvasView: view.CanvasView };
}
